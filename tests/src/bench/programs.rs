//! Builds whole programs, for the guest and natively: from well-known free sources, which cargo fetches
//! (`tests/bench/programs/Cargo.toml` names them; none of them is kept here), and small ones that keep the system busy.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::build::{Flavour, run, target_dir, workspace};

/// How a program is compiled.
struct Recipe {
    /// The program's name; its `main` is in `tests/bench/programs/NAME.c`.
    name: &'static str,
    /// Package, folder in it, and files of that folder. A name that ends in `/` means all C files of that folder.
    parts: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// Options for the compiler.
    options: &'static [&'static str],
}

const ZLIB_PACKERS: &[&str] = &["adler32", "compress", "crc32", "deflate", "trees", "zutil"];

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "bzip2",
        parts: &[(
            "bzip2-sys",
            "bzip2-1.0.8",
            &["blocksort", "huffman", "crctable", "randtable", "compress", "decompress", "bzlib"],
        )],
        options: &["-DBZ_NO_STDIO"],
    },
    Recipe { name: "flat", parts: &[], options: &[] },
    Recipe {
        name: "lua",
        parts: &[(
            "lua-src",
            "lua-5.4.7",
            &[
                "lapi", "lauxlib", "lbaselib", "lcode", "lcorolib", "lctype", "ldebug", "ldo", "ldump", "lfunc", "lgc",
                "llex", "lmathlib", "lmem", "lobject", "lopcodes", "lparser", "lstate", "lstring", "lstrlib", "ltable",
                "ltablib", "ltm", "lundump", "lvm", "lzio",
            ],
        )],
        // Lua seeds its hash function with the time and with addresses: runs would differ.
        options: &["-Dluai_makeseed(state)=42"],
    },
    Recipe {
        name: "nauty",
        parts: &[("nauty-Traces-sys", "src/nauty2_9_3", &["nauty", "nautil", "naugraph", "schreier", "naurng"])],
        options: &[],
    },
    Recipe {
        name: "png",
        parts: &[("libz-sys", "src/zlib", ZLIB_PACKERS), ("stb_image", "src", &["stb_image"])],
        options: &[
            "-DSTB_IMAGE_IMPLEMENTATION",
            "-DSTBI_NO_STDIO",
            "-DSTBI_NO_SIMD",
            "-DSTBI_NO_THREAD_LOCALS",
            "-DSTBI_ONLY_PNG",
        ],
    },
    Recipe {
        name: "sqlite",
        parts: &[("libsqlite3-sys", "sqlite3", &["sqlite3"])],
        options: &[
            "-DNDEBUG",
            "-DSQLITE_OS_OTHER=1",
            "-DSQLITE_THREADSAFE=0",
            "-DSQLITE_OMIT_LOAD_EXTENSION",
            "-DSQLITE_OMIT_LOCALTIME",
            "-DSQLITE_OMIT_WAL",
            "-DSQLITE_TEMP_STORE=3",
        ],
    },
    Recipe {
        name: "zlib",
        parts: &[
            ("libz-sys", "src/zlib", ZLIB_PACKERS),
            ("libz-sys", "src/zlib", &["inffast", "inflate", "inftrees", "uncompr"]),
        ],
        options: &[],
    },
    Recipe {
        name: "zstd",
        parts: &[("zstd-sys", "zstd/lib", &["common/", "compress/", "decompress/"])],
        options: &["-DZSTD_DISABLE_ASM", "-DZSTD_TRACE=0"],
    },
];

/// Names of all programs, sorted.
pub fn names() -> Vec<String> {
    RECIPES.iter().map(|r| r.name.to_string()).collect()
}

/// Names of the programs of `tests/bench/systems`, sorted: signals, processes, threads, code that is written as it runs.
pub const SYSTEMS: &[&str] = &["codegen", "processes", "signals", "threads"];

/// Builds the system program `name` for x86_64. The native form is an ordinary program of the host's C library.
///
/// # Errors
/// What the compiler says.
pub fn build_system(name: &str) -> Result<Built, String> {
    let flavour = Flavour::X86_64;
    let source = tests_folder().join("bench/systems").join(name).with_extension("c");
    let work = target_dir().join("bench/programs/systems");
    fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
    let native = work.join(name);
    let hosted = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-pthread", "-o"];
    run(Command::new("gcc").args(hosted).arg(&native).arg(&source))?;
    let object = native.with_extension("o");
    run(compiler(flavour).args(["-Wall", "-Wextra", "-c", "-o"]).arg(&object).arg(&source))?;
    let root = guest_root(flavour)?;
    let guest = format!("boot/system/systems/{name}");
    link_guest(flavour, &[object], &root, &root.join(&guest))?;
    Ok(Built { native, root, guest: format!("/{guest}") })
}

/// A program in both forms.
#[derive(Clone, Debug)]
pub struct Built {
    /// The static Linux program.
    pub native: PathBuf,
    /// The guest root.
    pub root: PathBuf,
    /// The program's path in it.
    pub guest: String,
}

/// Builds `name` in `flavour`. `natives` is the folder of the kernels' native forms ([`super::build::native`]).
///
/// # Errors
/// What cargo or the compiler says.
pub fn build(name: &str, flavour: Flavour, natives: &Path) -> Result<Built, String> {
    let recipe = RECIPES.iter().find(|r| r.name == name).ok_or_else(|| format!("there is no program {name}"))?;
    let packages = packages()?;
    let work = target_dir().join("bench/programs").join(flavour.name());
    let objects = compile(recipe, flavour, &packages, &work.join(name))?;
    let native = work.join(format!("{name}.linux"));
    link_native(flavour, &objects, &natives.join(flavour.native_folder()), &native)?;
    let root = guest_root(flavour)?;
    let guest = format!("boot/system/{}/{name}", flavour.name());
    link_guest(flavour, &objects, &root, &root.join(&guest))?;
    Ok(Built { native, root, guest: format!("/{guest}") })
}

/// Folder of each package that `tests/bench/programs/Cargo.toml` names.
fn packages() -> Result<HashMap<String, PathBuf>, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = tests_folder().join("bench/programs/Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]).arg(manifest);
    let metadata: serde_json::Value = serde_json::from_slice(&run(&mut command)?).map_err(|e| e.to_string())?;
    let list = metadata["packages"].as_array().ok_or("cargo's metadata has no packages")?;
    let folder = |p: &serde_json::Value| {
        let manifest = Path::new(p["manifest_path"].as_str()?);
        Some((p["name"].as_str()?.to_string(), manifest.parent()?.to_path_buf()))
    };
    Ok(list.iter().filter_map(folder).collect())
}

fn compile(
    recipe: &Recipe,
    flavour: Flavour,
    packages: &HashMap<String, PathBuf>,
    work: &Path,
) -> Result<Vec<PathBuf>, String> {
    let own = tests_folder().join("bench/programs");
    let mut sources = vec![own.join(recipe.name).with_extension("c")];
    let mut options: Vec<OsString> = recipe.options.iter().map(OsString::from).collect();
    for (package, folder, files) in recipe.parts {
        let folder = packages.get(*package).ok_or_else(|| format!("cargo knows no package {package}"))?.join(folder);
        options.extend(["-I".into(), folder.clone().into_os_string()]);
        for file in *files {
            match file.strip_suffix('/') {
                Some(all) => sources.extend(c_files(&folder.join(all))?),
                None => sources.push(folder.join(file).with_extension("c")),
            }
        }
    }
    fs::create_dir_all(work).map_err(|e| format!("{}: {e}", work.display()))?;
    let mut objects = Vec::new();
    let changed = inputs_changed(&tests_folder())?;
    for (n, source) in sources.iter().enumerate() {
        let object = work.join(format!("{n}.o"));
        let mut gcc = compiler(flavour);
        gcc.args(["-w", "-ffunction-sections"]).args(&options).arg("-c").arg("-o").arg(&object).arg(source);
        let stamp = object.with_extension("stamp");
        let command = format!("{gcc:?} {changed}");
        if !object.is_file() || fs::read_to_string(&stamp).ok().as_ref() != Some(&command) {
            run(&mut gcc)?;
            fs::write(&stamp, command).map_err(|e| format!("{}: {e}", stamp.display()))?;
        }
        objects.push(object);
    }
    Ok(objects)
}

/// When our own part of the programs' sources changed last: the fetched part never does.
fn inputs_changed(tests: &Path) -> Result<u128, String> {
    let mut latest = 0;
    for folder in ["bench/programs", "bench/kernels", "guest/include", "guest/include/sys"] {
        let folder = tests.join(folder);
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for time in entries.filter_map(|e| e.ok()?.metadata().ok()?.modified().ok()) {
            latest = latest.max(time.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos()));
        }
    }
    Ok(latest)
}

fn tests_folder() -> PathBuf {
    workspace().join("tests")
}

/// The compiler as the guest root's own programs are built.
fn compiler(flavour: Flavour) -> Command {
    let tests = tests_folder();
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-O2", "-nostdinc", "-fno-ident", "-fno-stack-protector"]);
    gcc.args(["-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-fPIC", "-fvisibility=hidden"]);
    gcc.arg("-I").arg(tests.join("guest/include")).arg("-I").arg(tests.join("bench/programs"));
    if let Ok(include) = run(Command::new("gcc").arg("-print-file-name=include")) {
        gcc.arg("-isystem").arg(String::from_utf8_lossy(&include).trim());
    }
    gcc.args(flavour.machine());
    gcc
}

fn link_native(flavour: Flavour, objects: &[PathBuf], support: &Path, to: &Path) -> Result<(), String> {
    let mut gcc = Command::new("gcc");
    gcc.args(flavour.machine()).args(["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-s", "-Wl,--gc-sections"]);
    gcc.args(["-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-u,_start", "-o"]).arg(to).args(objects);
    run(gcc.arg(support.join("libsupport.a"))).map(drop)
}

fn link_guest(flavour: Flavour, objects: &[PathBuf], root: &Path, to: &Path) -> Result<(), String> {
    let glue = tests_folder().join("guest/glue");
    let folder = to.parent().ok_or("a program has a folder")?;
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut all = objects.to_vec();
    for part in ["start_dyn", "wide_math"] {
        let object = target_dir().join("bench/programs").join(part).with_extension(format!("{}.o", flavour.name()));
        run(compiler(flavour).arg("-c").arg("-o").arg(&object).arg(glue.join(part).with_extension("c")))?;
        all.push(object);
    }
    let mut gcc = Command::new("gcc");
    gcc.args(flavour.machine()).args(["-nostdlib", "-nostartfiles", "-shared", "-s", "-Wl,--hash-style=sysv"]);
    gcc.args(["-Wl,--build-id=none", "-Wl,-z,max-page-size=4096", "-Wl,-z,noseparate-code", "-Wl,-z,norelro"]);
    gcc.args(["-Wl,-z,noexecstack", "-Wl,-z,notext", "-Wl,--no-warn-rwx-segments", "-Wl,-soname,_APP_"]);
    gcc.args(["-Wl,-e,_start", "-Wl,--no-undefined", "-Wl,--gc-sections", "-o"]).arg(to).args(&all);
    run(gcc.arg(root.join("boot/system/lib/libroot.so"))).map(drop)
}

/// A guest root of its own for the programs: the prebuilt one's loader and library.
fn guest_root(flavour: Flavour) -> Result<PathBuf, String> {
    let arch = flavour.arch();
    let from = tests_folder().join("guest/prebuilt").join(arch).join("boot/system");
    let root = target_dir().join("bench/programs").join(format!("root-{arch}"));
    let to = root.join("boot/system");
    fs::create_dir_all(to.join("lib")).map_err(|e| format!("{}: {e}", to.display()))?;
    for file in ["runtime_loader", "lib/libroot.so"] {
        fs::copy(from.join(file), to.join(file)).map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(root)
}

fn c_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "c")).collect();
    files.sort();
    Ok(files)
}
