//! `hokku cache`: the translations that are kept from run to run.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hokku_runtime::{DiskCacheConfig, disk_cache};

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
        Some(What::Prune { all, max_size }) => {
            let limit = if all { 0 } else { max_size.saturating_mul(1 << 20) };
            let removed = disk_cache::prune(folder, limit).with_context(|| folder.display().to_string())?;
            println!("removed {}", size(removed));
            Ok(())
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
