//! `hokku cache`: the translations that are kept from run to run.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hokku_ir::GuestAddr;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_runtime::DiskCacheConfig;
use hokku_runtime::disk_cache::{self, Progress};
use hokku_runtime::loader::{ElfImage, ElfKind};
use hokku_syscall_bridge::image_place;

use crate::cpu::CpuOption;

/// Options of `hokku cache`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// The cache's folder [default: hokku in XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", global = true)]
    cache_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Translate programs and libraries ahead of time, on all cores
    #[command(after_help = "\
What only a computed jump reaches is translated when it first runs. Translations are for the address where hokku usually puts a file of that \
size.")]
    Build {
        #[command(flatten)]
        cpu: CpuOption,
        /// ELF files on the host
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Remove translations that were not used for longest
    Prune {
        /// Remove all of them
        #[arg(long, conflicts_with = "max_size")]
        all: bool,
        /// How much to leave, in MiB
        #[arg(long, value_name = "MIB", default_value_t = DiskCacheConfig::LIMIT >> 20)]
        max_size: u64,
    },
}

/// The cache in `folder`, or else the usual one; `None` where the environment names no place for it.
///
/// # Errors
/// Where the current folder, from which `folder` is reckoned, is gone.
pub(crate) fn configuration(folder: Option<PathBuf>) -> Result<Option<DiskCacheConfig>> {
    let folder = match folder {
        Some(given) => Some(std::path::absolute(&given).with_context(|| format!("--cache-dir {}", given.display()))?),
        None => DiskCacheConfig::usual_folder(),
    };
    Ok(folder.map(|folder| DiskCacheConfig { folder, limit: DiskCacheConfig::LIMIT }))
}

/// Shows or changes the cache.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn cache(args: CacheArgs) -> Result<()> {
    let config = configuration(args.cache_dir)?.context("neither XDG_CACHE_HOME nor HOME is set: give --cache-dir")?;
    let folder = &config.folder;
    match args.what {
        None => show(&config).with_context(|| folder.display().to_string()),
        Some(What::Build { cpu, files }) => files
            .iter()
            .try_for_each(|file| build(&config, cpu.model, file).with_context(|| file.display().to_string())),
        Some(What::Prune { all, max_size }) => {
            let limit = if all { 0 } else { max_size.saturating_mul(1 << 20) };
            let removed = disk_cache::prune(folder, limit).with_context(|| folder.display().to_string())?;
            println!("removed {}", size(removed));
            Ok(())
        }
    }
}

fn build(config: &DiskCacheConfig, processor: CpuModel, path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    let image = ElfImage::parse(&path.to_string_lossy(), &bytes)?;
    let (low, high) = image.span();
    let base = match image.kind {
        ElfKind::Fixed => low,
        ElfKind::Shared => image_place(high - low),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bar = Bar { name: &name, shown: Mutex::new(0), visible: std::io::stderr().is_terminal() };
    let built = disk_cache::build(config.clone(), &image, &bytes, GuestAddr(base), processor, &|p| bar.show(p))?;
    bar.clear();
    let new = built.done - built.kept;
    println!(
        "{name}: {new} regions translated, {} were there, {} of host code",
        built.kept,
        size(built.host_bytes as u64)
    );
    Ok(())
}

/// A bar on the terminal that grows.
struct Bar<'a> {
    name: &'a str,
    /// Regions done when it was last drawn.
    shown: Mutex<usize>,
    visible: bool,
}

impl Bar<'_> {
    const WIDTH: usize = 40;
    /// Regions between two drawings.
    const STEP: usize = 50;

    fn show(&self, progress: Progress) {
        let mut shown = self.shown.lock().unwrap_or_else(|e| e.into_inner());
        if !self.visible || progress.done < *shown + Self::STEP {
            return;
        }
        *shown = progress.done;
        let full = Self::WIDTH * progress.done / progress.known.max(1);
        let (done, to_do) = ("#".repeat(full), ".".repeat(Self::WIDTH - full));
        eprint!("\r{} [{done}{to_do}] {} of {} regions", self.name, progress.done, progress.known);
    }

    fn clear(&self) {
        if self.visible {
            eprint!("\r\x1b[K");
        }
    }
}

fn show(config: &DiskCacheConfig) -> Result<()> {
    let contents = disk_cache::contents(&config.folder)?;
    println!("folder   {}", config.folder.display());
    println!("size     {} of at most {}", size(contents.bytes()), size(config.limit));
    println!("files    {} for {} images", contents.files(), contents.images);
    println!("regions  {}", contents.regions());
    if let Some(age) = contents.oldest().and_then(|used| SystemTime::now().duration_since(used).ok()) {
        println!("oldest   used {} hours ago", age.as_secs() / 3600);
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
