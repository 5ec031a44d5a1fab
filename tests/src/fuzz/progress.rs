//! How far a long run has come: kept in a file, so that an interrupted one goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run::Tally;

/// What was asked for, what is done of it, and what was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The arguments that decide which cases there are.
    pub asked: String,
    /// For each word size, the next case to run and what was found until there.
    pub modes: Vec<(String, u64, Tally)>,
    #[serde(skip)]
    file: Option<PathBuf>,
}

impl Progress {
    /// The progress in `file`, of which nothing is where there is no such file; it must be of the run that `asked` names.
    ///
    /// # Errors
    /// A file that cannot be read, or is of another run.
    pub fn open(file: Option<&Path>, asked: &str) -> Result<Progress, String> {
        let fresh = Progress { asked: asked.into(), modes: Vec::new(), file: file.map(Path::to_path_buf) };
        let Some(path) = file.filter(|f| f.exists()) else { return Ok(fresh) };
        let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = fs::read_to_string(path).map_err(|e| wrong(&e))?;
        let progress: Progress = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
        if progress.asked != asked {
            return Err(wrong(&format!("the progress of another run: {}", progress.asked)));
        }
        Ok(Progress { file: fresh.file, ..progress })
    }

    /// Where to go on with `mode`, and what was found before; from `first` where nothing was done.
    pub fn of(&self, mode: &str, first: u64) -> (u64, Tally) {
        let found = self.modes.iter().find(|(name, _, _)| name == mode);
        found.map_or((first, Tally::default()), |(_, next, tally)| (*next, tally.clone()))
    }

    /// Notes that all cases of `mode` before `next` have been run, and writes the file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn note(&mut self, mode: &str, next: u64, tally: &Tally) -> Result<(), String> {
        self.modes.retain(|(name, _, _)| name != mode);
        self.modes.push((mode.into(), next, tally.clone()));
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_string(self).map_err(|e| e.to_string())?;
        // Whole or not at all, whenever the run is ended.
        let new = file.with_extension("new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, file)).map_err(|e| format!("{}: {e}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_goes_on() {
        let dir = std::env::temp_dir().join(format!("hokku-progress-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("state");
        let mut first = Progress::open(Some(&file), "seed 1").unwrap();
        assert_eq!(first.of("64", 8).0, 8);
        first.note("64", 800, &Tally { cases: 790, ..Tally::default() }).unwrap();
        first.note("64", 1600, &Tally { cases: 1580, ..Tally::default() }).unwrap();
        let again = Progress::open(Some(&file), "seed 1").unwrap();
        let (next, tally) = again.of("64", 8);
        assert_eq!((next, tally.cases, again.of("32", 0).0), (1600, 1580, 0));
        assert!(Progress::open(Some(&file), "seed 2").unwrap_err().contains("another run"));
        fs::write(&file, "{").unwrap();
        assert!(Progress::open(Some(&file), "seed 1").is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
