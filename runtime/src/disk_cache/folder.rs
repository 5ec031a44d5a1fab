//! The cache's folder: a folder for each guest image and translator, with segments in it.
//!
//! Processes do not know of each other. Each writes segments of its own and replaces small ones by their union; a file appears whole, by a
//! rename, and one that another process has removed is still there for those that use it. What is used least is removed first.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64;

use super::image::ImageId;
use super::segment::{self, Draft, Segment, Unusable};
use crate::host::file_view::FileView;

/// How the names of segments end.
const SEGMENT: &str = "tc";
/// How the names of files end that are being written.
const UNFINISHED: &str = "new";
/// A file is marked as used when it was not for so long.
const MARK_AFTER: Duration = Duration::from_secs(3600);
/// An unfinished file of this age has nobody that writes it.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// The most segments of one image.
const MOST_SEGMENTS: usize = 8;

/// A file of the cache.
#[derive(Clone, Debug)]
struct CacheFile {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// What is in a cache folder.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    files: Vec<CacheFile>,
    /// Guest images with translations.
    pub images: usize,
}

impl Contents {
    /// Number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }

    /// Number of regions in all files that are whole.
    pub fn regions(&self) -> usize {
        let count = |file: &CacheFile| Segment::count_in(&FileView::new(&File::open(&file.path).ok()?).ok()?);
        self.files.iter().filter_map(count).sum()
    }

    /// When the file was used that nobody has used for longest.
    pub fn oldest(&self) -> Option<SystemTime> {
        self.files.iter().map(|f| f.used).min()
    }
}

/// Whether translations from `folder`, which exists, can be trusted: nobody else can write there.
fn is_ours(folder: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(folder)?;
    Ok(metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0)
}

/// Where the translations of `image` by the translator `name` are.
pub(super) fn of_image(folder: &Path, image: ImageId, name: &str) -> PathBuf {
    folder.join(format!("{:016x}-{:016x}", image.0, xxh3_64(name.as_bytes())))
}

/// The segments in an image's folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that can be used, largest first.
    pub(super) segments: Vec<(PathBuf, Segment)>,
    /// Files that nobody can use any more.
    damaged: Vec<PathBuf>,
}

/// Opens the segments in `folder`.
pub(super) fn open_segments(folder: &Path, name: &str) -> Found {
    let mut found = Found::default();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    if !is_ours(folder).unwrap_or(false) {
        tracing::warn!("{}: others can write there: not used", folder.display());
        return found;
    }
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == SEGMENT);
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_segment) {
        match open_segment(&path, name) {
            Ok(Ok(segment)) => found.segments.push((path, segment)),
            Ok(Err(why)) => {
                tracing::debug!("{}: {why:?}: not used", path.display());
                if why == Unusable::Damaged {
                    found.damaged.push(path);
                }
            }
            // Another process may have removed it meanwhile.
            Err(error) => tracing::debug!("{}: {error}", path.display()),
        }
    }
    found.segments.sort_by_key(|(_, segment)| std::cmp::Reverse(segment.len()));
    found
}

fn open_segment(path: &Path, name: &str) -> io::Result<Result<Segment, Unusable>> {
    let file = File::open(path)?;
    let used = file.metadata()?.modified()?;
    let now = SystemTime::now();
    if now.duration_since(used).is_ok_and(|age| age > MARK_AFTER) {
        // Where that is not allowed the file counts as unused: it may go sooner than others.
        let _ = file.set_times(FileTimes::new().set_modified(now));
    }
    Ok(Segment::open(FileView::new(&file)?, name))
}

/// Writes `draft` into `folder`, together with segments there that are not much larger; those are removed.
pub(super) fn add(folder: &Path, name: &str, draft: &Draft) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if !is_ours(folder)? {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can write there"));
    }
    let Found { segments: mut kept, damaged: mut replaced } = open_segments(folder, name);
    let (mut joined, mut bytes) = (Vec::new(), draft.bytes());
    while let Some((path, segment)) = kept.pop() {
        if segment.len() > 2 * bytes && kept.len() < MOST_SEGMENTS - 1 {
            break;
        }
        bytes += segment.len();
        joined.push(segment);
        replaced.push(path);
    }
    let unique = unique();
    let (unfinished, path) =
        (folder.join(format!("{unique}.{UNFINISHED}")), folder.join(format!("{unique}.{SEGMENT}")));
    let written = File::create_new(&unfinished)
        .and_then(|file| segment::write(draft, &joined, name, file))
        .and_then(|()| fs::rename(&unfinished, &path));
    if written.is_err() {
        // A full disk: what is there of it would only take more room.
        let _ = fs::remove_file(&unfinished);
        return written;
    }
    for old in replaced {
        // Another process may have replaced it as well.
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// A file name that no other process takes.
fn unique() -> String {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{time:x}-{}-{}", std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed))
}

/// Lists the cache in `folder`.
///
/// # Errors
/// Where it cannot be read. That there is none is no error.
pub fn contents(folder: &Path) -> io::Result<Contents> {
    let mut contents = Contents::default();
    for image in entries(folder)? {
        let before = contents.files.len();
        for path in entries(&image)? {
            // Another process may have removed it meanwhile.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if path.extension().is_some_and(|e| e == SEGMENT || e == UNFINISHED) {
                contents.files.push(CacheFile { path, bytes: metadata.len(), used: metadata.modified()? });
            }
        }
        contents.images += usize::from(contents.files.len() > before);
    }
    Ok(contents)
}

/// The paths in `folder`; none where there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes the files in `folder` that were not used for longest until no more than `limit` bytes are left; gives the bytes removed.
///
/// # Errors
/// Where the folder cannot be read.
pub fn prune(folder: &Path, limit: u64) -> io::Result<u64> {
    let mut files = contents(folder)?.files;
    let now = SystemTime::now();
    files.sort_by_key(|f| f.used);
    let mut left: u64 = files.iter().map(|f| f.bytes).sum();
    let mut removed = 0;
    for file in files {
        let abandoned = file.path.extension().is_some_and(|e| e == UNFINISHED)
            && now.duration_since(file.used).is_ok_and(|age| age > ABANDONED_AFTER);
        if left <= limit && !abandoned {
            continue;
        }
        left -= file.bytes;
        // One that is gone already is as good as removed.
        if fs::remove_file(&file.path).is_ok() {
            removed += file.bytes;
        }
        if let Some(image) = file.path.parent() {
            // Succeeds for the last file only.
            let _ = fs::remove_dir(image);
        }
    }
    Ok(removed)
}
