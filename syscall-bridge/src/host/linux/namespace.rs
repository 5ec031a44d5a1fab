//! The guest's tree of directories: its root, what is shared into it, and its devices; and how a path is followed in it.
//!
//! **No escape.** The host never resolves more than one component, and never a link: each component is looked up in an open directory with
//! `O_NOFOLLOW`, `..` is the [`Dir`] that a directory was reached from, and links start again at the guest's root or directory.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::abi::structs::{FILE_NAME_LENGTH, PATH_LENGTH};
use crate::abi::{Status, SysResult};
use crate::root::{EmbeddedFile, GuestRoot, Share};

/// Most links that are followed in one path.
const LINK_LIMIT: usize = 32;

/// Devices, by their name in `/dev`, and the host's file for each.
pub(super) const DEVICES: &[(&str, &str)] = &[
    ("null", "/dev/null"),
    ("random", "/dev/urandom"),
    ("tty", "/dev/tty"),
    ("urandom", "/dev/urandom"),
    ("zero", "/dev/zero"),
];

/// A directory as the guest reached it.
#[derive(Debug)]
pub struct Dir {
    /// The directory above; the root has none.
    pub(super) parent: Option<Arc<Dir>>,
    /// Its name there.
    pub(super) name: Vec<u8>,
    pub(super) place: Place,
}

/// What a directory is made of.
#[derive(Debug)]
pub(super) enum Place {
    /// A directory of the host, opened as a path.
    Host(OwnedFd),
    /// The embedded files whose paths start so (empty, or ending with a slash).
    Embedded(String),
    /// `/dev`.
    Devices,
    /// Exists only because something is shared below it.
    Virtual,
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A directory.
    Dir(Arc<Dir>),
    /// Another node of the host, a link included: `name` in the directory of [`Located`].
    Host(FileType),
    /// An embedded file.
    Embedded(&'static EmbeddedFile),
    /// A device: the host's path.
    Device(&'static str),
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// The directory that holds the last component; for the root, itself.
    pub(super) dir: Arc<Dir>,
    /// The last component; empty for the root.
    pub(super) name: Vec<u8>,
    /// What is there; `None`: nothing yet.
    pub(super) node: Option<Node>,
    /// Whether the path ended with a slash: only a directory fits.
    pub(super) must_be_dir: bool,
}

impl Located {
    /// What is there, or that there is nothing.
    pub(super) fn existing(&self) -> SysResult<&Node> {
        match &self.node {
            None => Err(Status::B_ENTRY_NOT_FOUND),
            Some(Node::Dir(_)) => self.node.as_ref().ok_or(Status::B_ENTRY_NOT_FOUND),
            Some(_) if self.must_be_dir => Err(Status::B_NOT_A_DIRECTORY),
            Some(node) => Ok(node),
        }
    }

    /// The host's directory that entries can be made and removed in.
    pub(super) fn host_dir(&self) -> SysResult<&OwnedFd> {
        match &self.dir.place {
            Place::Host(fd) => Ok(fd),
            _ => Err(Status::B_READ_ONLY_DEVICE),
        }
    }
}

impl Dir {
    /// Names from the root down to here.
    pub(super) fn components(&self) -> Vec<Vec<u8>> {
        let mut names = match &self.parent {
            Some(parent) => parent.components(),
            None => return Vec::new(),
        };
        names.push(self.name.clone());
        names
    }

    /// Absolute guest path.
    pub(super) fn path(&self) -> Vec<u8> {
        join(&self.components())
    }
}

/// `names` as an absolute path.
pub(super) fn join(names: &[Vec<u8>]) -> Vec<u8> {
    if names.is_empty() {
        return b"/".to_vec();
    }
    names.iter().flat_map(|name| [b"/".as_slice(), name].concat()).collect()
}

fn split(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".").map(<[u8]>::to_vec).collect()
}

/// The guest's tree.
#[derive(Debug)]
pub struct Namespace {
    root: Arc<Dir>,
    embedded: &'static [EmbeddedFile],
    /// Shared folders: guest path, host folder.
    shares: Vec<(Vec<Vec<u8>>, OwnedFd)>,
}

impl Namespace {
    /// The tree of `root` and `shares`.
    pub fn new(root: &GuestRoot, shares: &[Share]) -> std::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &std::path::Path| {
            rustix::fs::open(path, flags, Mode::empty())
                .map_err(|e| std::io::Error::new(std::io::Error::from(e).kind(), format!("{}: {e}", path.display())))
        };
        let (place, embedded) = match root {
            GuestRoot::Folder(path) => (Place::Host(open(path)?), [].as_slice()),
            GuestRoot::Embedded(root) => (Place::Embedded(String::new()), root.files),
        };
        let shares =
            shares.iter().map(|s| Ok((split(&s.guest), open(&s.host)?))).collect::<std::io::Result<Vec<_>>>()?;
        Ok(Namespace { root: Arc::new(Dir { parent: None, name: Vec::new(), place }), embedded, shares })
    }

    /// The guest's `/`.
    pub fn root(&self) -> &Arc<Dir> {
        &self.root
    }

    /// Follows `path` from `start`; the last component's link only if `follow`.
    pub(super) fn resolve(&self, start: &Arc<Dir>, path: &[u8], follow: bool) -> SysResult<Located> {
        if path.is_empty() {
            return Err(Status::B_ENTRY_NOT_FOUND);
        }
        if path.len() >= PATH_LENGTH {
            return Err(Status::B_NAME_TOO_LONG);
        }
        let mut links = 0;
        let mut at = if path[0] == b'/' { Arc::clone(&self.root) } else { Arc::clone(start) };
        // The components still to follow, the next one last.
        let mut rest: Vec<Vec<u8>> =
            path.split(|&b| b == b'/').filter(|c| !c.is_empty()).map(<[u8]>::to_vec).rev().collect();
        let mut must_be_dir = path.ends_with(b"/");
        loop {
            let Some(name) = rest.pop() else { return Ok(here(&at, must_be_dir)) };
            if name == b"." {
                continue;
            }
            if name == b".." {
                at = at.parent.clone().unwrap_or(at);
                continue;
            }
            if name.len() >= FILE_NAME_LENGTH {
                return Err(Status::B_NAME_TOO_LONG);
            }
            let last = rest.is_empty();
            let node = match self.look_up(&at, &name) {
                Ok(node) => node,
                Err(Status::B_ENTRY_NOT_FOUND) if last => {
                    return Ok(Located { dir: at, name, node: None, must_be_dir });
                }
                Err(error) => return Err(error),
            };
            match node {
                Node::Dir(dir) if last => {
                    return Ok(Located { dir: at, name, node: Some(Node::Dir(dir)), must_be_dir });
                }
                Node::Dir(dir) => at = dir,
                Node::Host(FileType::Symlink) if !last || follow || must_be_dir => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(Status::B_LINK_LIMIT);
                    }
                    let Place::Host(fd) = &at.place else { return Err(Status::B_BAD_VALUE) };
                    let target = readlinkat(fd, name.as_slice(), Vec::new())?.into_bytes();
                    if target.is_empty() {
                        return Err(Status::B_ENTRY_NOT_FOUND);
                    }
                    if target[0] == b'/' {
                        at = Arc::clone(&self.root);
                    }
                    must_be_dir |= last && target.ends_with(b"/");
                    rest.extend(target.split(|&b| b == b'/').filter(|c| !c.is_empty()).map(<[u8]>::to_vec).rev());
                }
                other if last => return Ok(Located { dir: at, name, node: Some(other), must_be_dir }),
                _ => return Err(Status::B_NOT_A_DIRECTORY),
            }
        }
    }

    /// What `name` is in `dir`; `name` is one component, not `.` or `..`.
    pub(super) fn look_up(&self, dir: &Arc<Dir>, name: &[u8]) -> SysResult<Node> {
        let child = |place| Node::Dir(Arc::new(Dir { parent: Some(Arc::clone(dir)), name: name.to_vec(), place }));
        let mut below_shares = false;
        if !self.shares.is_empty() || dir.parent.is_none() {
            let mut path = dir.components();
            path.push(name.to_vec());
            if let Some((_, fd)) = self.shares.iter().find(|(at, _)| *at == path) {
                return Ok(child(Place::Host(fd.try_clone()?)));
            }
            if path == [b"dev".to_vec()] {
                return Ok(child(Place::Devices));
            }
            below_shares = self.shares.iter().any(|(at, _)| at.starts_with(&path));
        }
        let found = match &dir.place {
            Place::Host(fd) => look_up_host(fd, name).map(|found| match found {
                Found::Dir(fd) => child(Place::Host(fd)),
                Found::Other(kind) => Node::Host(kind),
            }),
            Place::Embedded(prefix) => self.look_up_embedded(prefix, name, child),
            Place::Devices => DEVICES
                .iter()
                .find(|(device, _)| device.as_bytes() == name)
                .map(|(_, host)| Node::Device(host))
                .ok_or(Status::B_ENTRY_NOT_FOUND),
            Place::Virtual => Err(Status::B_ENTRY_NOT_FOUND),
        };
        match found {
            Err(Status::B_ENTRY_NOT_FOUND) if below_shares => Ok(child(Place::Virtual)),
            other => other,
        }
    }

    fn look_up_embedded(&self, prefix: &str, name: &[u8], child: impl Fn(Place) -> Node) -> SysResult<Node> {
        let name = std::str::from_utf8(name).map_err(|_| Status::B_ENTRY_NOT_FOUND)?;
        let path = format!("{prefix}{name}");
        if let Some(file) = self.embedded.iter().find(|f| f.path == path) {
            return Ok(Node::Embedded(file));
        }
        let prefix = path + "/";
        if self.embedded.iter().any(|f| f.path.starts_with(&prefix)) {
            return Ok(child(Place::Embedded(prefix)));
        }
        Err(Status::B_ENTRY_NOT_FOUND)
    }

    /// Names in `dir` that the host's directory does not have of itself.
    pub(super) fn own_names(&self, dir: &Dir) -> Vec<Vec<u8>> {
        let path = dir.components();
        let mut names: Vec<Vec<u8>> = self
            .shares
            .iter()
            .filter(|(at, _)| at.len() > path.len() && at.starts_with(&path))
            .map(|(at, _)| at[path.len()].clone())
            .collect();
        match &dir.place {
            Place::Embedded(prefix) => {
                let below = self.embedded.iter().filter_map(|f| f.path.strip_prefix(prefix.as_str()));
                names.extend(below.map(|p| p.split('/').next().unwrap_or_default().as_bytes().to_vec()));
            }
            Place::Devices => names.extend(DEVICES.iter().map(|(name, _)| name.as_bytes().to_vec())),
            Place::Host(_) | Place::Virtual => {}
        }
        if path.is_empty() {
            names.push(b"dev".to_vec());
        }
        names.sort();
        names.dedup();
        names
    }
}

/// A path that leads to a directory already at hand.
fn here(dir: &Arc<Dir>, must_be_dir: bool) -> Located {
    Located {
        dir: dir.parent.clone().unwrap_or_else(|| Arc::clone(dir)),
        name: dir.name.clone(),
        node: Some(Node::Dir(Arc::clone(dir))),
        must_be_dir,
    }
}

enum Found {
    Dir(OwnedFd),
    Other(FileType),
}

fn look_up_host(dir: &OwnedFd, name: &[u8]) -> SysResult<Found> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(dir.as_fd(), name, flags, Mode::empty()) {
        Ok(fd) => Ok(Found::Dir(fd)),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let stat = statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(Found::Other(FileType::from_raw_mode(stat.st_mode)))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::root::EmbeddedRoot;

    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hokku-namespace-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder for the test");
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn tree(name: &str) -> (Scratch, Namespace) {
        let scratch = Scratch::new(name);
        let root = scratch.0.join("root");
        std::fs::create_dir_all(root.join("boot/home")).expect("folders");
        std::fs::create_dir_all(scratch.0.join("outside")).expect("folders");
        std::fs::write(scratch.0.join("outside/secret"), "secret").expect("a file");
        std::fs::write(root.join("boot/file"), "inside").expect("a file");
        symlink("/boot/file", root.join("absolute")).expect("a link");
        symlink("../../../../../../outside/secret", root.join("boot/home/up")).expect("a link");
        symlink(scratch.0.join("outside/secret"), root.join("host")).expect("a link");
        symlink("loop", root.join("loop")).expect("a link");
        symlink("boot/", root.join("slash")).expect("a link");
        let shares = [Share { host: scratch.0.join("outside"), guest: b"/boot/home/deep/shared".to_vec() }];
        let space = Namespace::new(&GuestRoot::Folder(root), &shares).expect("a namespace");
        (scratch, space)
    }

    fn find(space: &Namespace, path: &str) -> SysResult<Located> {
        space.resolve(space.root(), path.as_bytes(), true)
    }

    #[test]
    fn links_and_dots_stay_inside_the_root() {
        let (_scratch, space) = tree("inside");
        let file = find(&space, "/absolute").expect("an absolute link is one of the guest's tree");
        assert_eq!((file.dir.path(), file.name), (b"/boot".to_vec(), b"file".to_vec()));
        let up = find(&space, "/../../boot/./../boot/file").expect("dots above the root stay there");
        assert_eq!(up.dir.path(), b"/boot");
        for outside in ["/boot/home/up", "/host", "/../outside/secret", "/boot/../../outside/secret"] {
            let found = find(&space, outside);
            assert!(!matches!(&found, Ok(Located { node: Some(_), .. })), "{outside} leads to {found:?}");
        }
    }

    #[test]
    fn loops_files_as_directories_and_long_names_are_errors() {
        let (_scratch, space) = tree("errors");
        assert_eq!(find(&space, "/loop").err(), Some(Status::B_LINK_LIMIT));
        assert_eq!(find(&space, "/boot/file/x").err(), Some(Status::B_NOT_A_DIRECTORY));
        assert_eq!(find(&space, "/nothing/x").err(), Some(Status::B_ENTRY_NOT_FOUND));
        assert_eq!(find(&space, "").err(), Some(Status::B_ENTRY_NOT_FOUND));
        assert_eq!(find(&space, &"x".repeat(300)).err(), Some(Status::B_NAME_TOO_LONG));
        let slash = find(&space, "/boot/file/").expect("located");
        assert_eq!(slash.existing().err(), Some(Status::B_NOT_A_DIRECTORY));
        assert!(matches!(find(&space, "/slash").expect("located").node, Some(Node::Dir(_))));
    }

    #[test]
    fn shares_appear_where_they_are_stated_with_directories_above_them() {
        let (_scratch, space) = tree("shares");
        let secret = find(&space, "/boot/home/deep/shared/secret").expect("located");
        assert!(matches!(secret.existing(), Ok(Node::Host(FileType::RegularFile))));
        let back = find(&space, "/boot/home/deep/shared/../../..").expect("located");
        assert!(matches!(back.existing(), Ok(Node::Dir(dir)) if dir.path() == b"/boot"));
        let home = find(&space, "/boot/home").expect("located");
        let Ok(Node::Dir(home)) = home.existing() else { panic!("a directory") };
        assert_eq!(space.own_names(home), [b"deep".to_vec()]);
    }

    #[test]
    fn devices_and_embedded_files_are_found() {
        static ROOT: &EmbeddedRoot = &EmbeddedRoot {
            name: "test",
            files: &[
                EmbeddedFile { path: "boot/system/lib/libroot.so", data: b"x", executable: true },
                EmbeddedFile { path: "boot/system/runtime_loader", data: b"y", executable: true },
            ],
        };
        let space = Namespace::new(&GuestRoot::Embedded(ROOT), &[]).expect("a namespace");
        assert!(matches!(find(&space, "/dev/null").expect("located").node, Some(Node::Device("/dev/null"))));
        assert!(find(&space, "/dev/sda").expect("located").node.is_none());
        let Some(Node::Dir(system)) = find(&space, "boot/system").expect("located").node else { panic!("a directory") };
        assert_eq!(space.own_names(&system), [b"lib".to_vec(), b"runtime_loader".to_vec()]);
        assert!(
            matches!(find(&space, "/boot/system/runtime_loader").expect("located").node, Some(Node::Embedded(f)) if f.data == b"y")
        );
        assert_eq!(space.own_names(space.root()), [b"boot".to_vec(), b"dev".to_vec()]);
    }
}
