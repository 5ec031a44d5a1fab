//! The prebuilt guest root is what its sources give.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

fn contents(top: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(dir: &Path, top: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("readable folder").path();
            if path.is_dir() {
                walk(&path, top, out);
            } else {
                let name = path.strip_prefix(top).expect("below the top").display().to_string();
                out.insert(name, fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(top, top, &mut out);
    out
}

/// Where the compiler that made the checked-in copies is at hand, a rebuild gives the same bytes; where another one is, it gives the same
/// files; without a compiler there is nothing to compare.
#[test]
fn prebuilt_files_match_their_sources() {
    if !Command::new("gcc").arg("--version").output().is_ok_and(|o| o.status.success()) {
        eprintln!("no gcc here: the guest root was not rebuilt");
        return;
    }
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
    let out = std::env::temp_dir().join(format!("hokku-guest-{}", std::process::id()));
    let built = Command::new("bash").arg(guest.join("build.sh")).arg("--out").arg(&out).output().expect("bash starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let (fresh, old) = (contents(&out), contents(&guest.join("prebuilt")));
    // A leftover in the temporary folder harms nothing.
    let _ = fs::remove_dir_all(&out);
    assert_eq!(
        fresh.keys().collect::<Vec<_>>(),
        old.keys().collect::<Vec<_>>(),
        "rebuild the guest root: tests/guest/build.sh"
    );
    if fresh["toolchain.txt"] == old["toolchain.txt"] {
        for (name, bytes) in &fresh {
            assert!(old[name] == *bytes, "{name} is out of date: rebuild the guest root with tests/guest/build.sh");
        }
    }
}
