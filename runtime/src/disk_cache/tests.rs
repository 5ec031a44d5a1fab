//! The cache as a team uses it: what was kept is found again, and only for the code it was made of.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use hokku_ir::CpuMode;
use hokku_ir::backend::*;
use hokku_ir::lowering::{FlagsRecipe, RecipeStep};

use super::*;
use crate::guest_memory::{Placement, Prot};

const IMAGE: ImageId = ImageId(0x1234);
const CODE: [u8; 6] = [0x48, 0x89, 0xc8, 0x90, 0x90, 0xc3];
const NAME: &str = "translator";
const FIRST: Tier = Tier::First { counted: true };

/// A folder of its own for each test, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("hokku-disk-cache-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn cache(&self) -> DiskCache {
        let config = DiskCacheConfig { folder: self.0.clone(), limit: DiskCacheConfig::LIMIT };
        DiskCache { config, name: NAME.into(), images: Mutex::default(), is_writing: AtomicBool::default() }
    }

    fn files(&self) -> Vec<PathBuf> {
        let images = fs::read_dir(&self.0).into_iter().flatten().map(|e| e.unwrap().path());
        images.flat_map(|image| fs::read_dir(image).unwrap().map(|e| e.unwrap().path())).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Guest memory with `CODE` of `IMAGE` across the end of a page, and where it is.
fn guest(low: u64) -> (GuestMemory, GuestAddr) {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let place = Placement::Lowest { low: GuestAddr(low), high: GuestAddr(low + (1 << 32)), align: PAGE_SIZE };
    let base = memory.map_anonymous(place, 2 * PAGE_SIZE, Prot::READ | Prot::WRITE, false).unwrap();
    let at = base.offset(PAGE_SIZE - 3);
    memory.write_bytes(at, &CODE).unwrap();
    memory.protect(base, 2 * PAGE_SIZE, Prot::all()).unwrap();
    memory.set_image(base, 2 * PAGE_SIZE, Some(IMAGE)).unwrap();
    (memory, at)
}

/// Something of every kind.
fn region(at: GuestAddr) -> (Outline, Compiled, FaultTable) {
    let key = BlockKey::new(at, CpuMode::Long64);
    let outline = Outline { key, block_pcs: vec![at, at.offset(3)], ranges: vec![(at, 6)], instructions: 4 };
    let pc = at.offset(3);
    let borrowed = [Some((3, 2)), None, None, None];
    let link = Link { site: 8, stub: 20, target: GuestAddr(0x10), is_call: false, far: None };
    let far = Some(FarJump { jump: 24, slot: 32 });
    let lazy = LazyState { flags: Some(0), narrow: 5, behind: 8, x87: 1 << 63 };
    let mut compiled = Compiled {
        code: (0..100).collect(),
        blocks: vec![BlockEntry { block: hokku_ir::BlockId(1), pc, offset: 4, checked: 70 }],
        links: vec![link, Link { is_call: true, far, ..link }],
        back_edges: vec![link, Link { target: at, ..link }],
        hot_exits: vec![HotExit { stub: 7, target: GuestAddr(at.0 + 1) }],
        counters: vec![3, 5],
        stops: vec![
            Stop { stub: 30, kind: StopKind::Syscall(hokku_ir::SyscallKind::Int(99)), at: pc, next: at },
            Stop { stub: 40, kind: StopKind::Trap(hokku_ir::Trap::Breakpoint), at, next: pc },
        ],
        faults: vec![
            FaultSite {
                offset: 12,
                pc,
                leave: StubId::LeaveFaultString,
                stack_delta: -8,
                borrowed,
                lazy,
                retry: Some(40),
            },
            FaultSite {
                offset: 5,
                pc: at,
                leave: StubId::LeaveFault,
                stack_delta: 0,
                borrowed: [Some((1, 0)); 4],
                lazy: LazyState::default(),
                retry: None,
            },
        ],
        callouts: vec![Callout { offset: 9, op: hokku_ir::Op::Cpuid {}, pc, lazy }],
        return_pads: vec![ReturnPad { offset: 60, pc }],
        relocations: vec![Relocation { offset: 50, stub: StubId::Indirect }],
        recipes: vec![FlagsRecipe {
            steps: vec![
                RecipeStep::Register(3),
                RecipeStep::Slot(61),
                RecipeStep::Constant(u64::MAX),
                RecipeStep::Before,
                RecipeStep::Op(hokku_ir::Op::Adc {
                    w: hokku_ir::Width::W8,
                    a: hokku_ir::Value(0),
                    b: hokku_ir::Value(2),
                    f: hokku_ir::Value(3),
                }),
            ],
        }],
        flag_sites: vec![FlagSite { offset: 28, recipe: 0 }],
        host_instructions: 12,
        block_callouts: 1,
    };
    let faults = FaultTable::of(&mut compiled);
    (outline, compiled, faults)
}

fn keep(cache: &DiskCache, memory: &GuestMemory, (outline, compiled, faults): &(Outline, Compiled, FaultTable)) {
    cache.store(memory, FIRST, outline, &[CODE.to_vec()], compiled, faults);
}

fn store(cache: &DiskCache, memory: &GuestMemory, at: GuestAddr) {
    keep(cache, memory, &region(at));
}

fn found(cache: &DiskCache, memory: &GuestMemory, at: GuestAddr) -> Option<Cached> {
    cache.lookup(memory, BlockKey::new(at, CpuMode::Long64), FIRST)
}

#[test]
fn what_is_kept_is_found_in_the_next_run() {
    let folder = Folder::new("found");
    let (memory, at) = guest(0x11_0000_0000);
    let cache = folder.cache();
    assert!(found(&cache, &memory, at).is_none());
    store(&cache, &memory, at);
    cache.flush();
    let next = folder.cache();
    let cached = found(&next, &memory, at).unwrap();
    let (outline, compiled, faults) = region(at);
    assert_eq!(cached.outline, outline);
    assert!(cached.faults == faults && !faults.bytes().is_empty());
    assert_eq!(format!("{:?}", cached.compiled), format!("{compiled:?}"));
    assert_eq!(cached.pages.iter().map(|p| p.0).collect::<Vec<_>>(), [at.0 - PAGE_SIZE + 3, at.0 + 3]);
    let other = |key| next.lookup(&memory, key, FIRST).is_some();
    let key = BlockKey::new(at, CpuMode::Long64);
    assert!(other(key));
    assert!(!other(BlockKey { ordered: true, ..key }), "for one thread only");
    assert!(!other(BlockKey { single_step: true, ..key }));
    assert!(!other(BlockKey { pc: at.offset(3), ..key }), "a region is found by its first block");
    assert!(next.lookup(&memory, key, Tier::Second).is_none(), "of another tier");
    assert_eq!(contents(&folder.0).unwrap().regions(), 1);
}

#[test]
fn changed_code_has_no_translation() {
    let folder = Folder::new("changed");
    let (memory, at) = guest(0x12_0000_0000);
    let cache = folder.cache();
    store(&cache, &memory, at);
    assert!(found(&cache, &memory, at).is_some(), "what is not written yet is found as well");
    // One byte in each page: a page that is rewritten more often is not protected any more, and has no kept translations.
    for i in [1, 5] {
        memory.write_bytes(at.offset(i), &[CODE[i as usize] ^ 1]).unwrap();
        assert!(found(&cache, &memory, at).is_none(), "byte {i}");
        memory.write_bytes(at.offset(i), &[CODE[i as usize]]).unwrap();
    }
    assert!(found(&cache, &memory, at).is_some());
    memory.protect(GuestAddr(at.0 + 3), PAGE_SIZE, Prot::READ).unwrap();
    assert!(found(&cache, &memory, at).is_none(), "its end cannot be executed any more");
}

#[test]
fn code_that_is_of_no_file_is_not_kept() {
    let folder = Folder::new("anonymous");
    let (memory, at) = guest(0x13_0000_0000);
    let cache = folder.cache();
    memory.set_image(GuestAddr(at.0 + 3), PAGE_SIZE, None).unwrap();
    store(&cache, &memory, at);
    memory.set_image(GuestAddr(at.0 + 3), PAGE_SIZE, Some(ImageId(5))).unwrap();
    store(&cache, &memory, at);
    cache.flush();
    assert_eq!(folder.files(), [] as [PathBuf; 0]);
}

#[test]
fn regions_with_a_failed_fetch_are_not_kept() {
    let folder = Folder::new("fetch");
    let (memory, at) = guest(0x14_0000_0000);
    let cache = folder.cache();
    let mut region = region(at);
    region.1.stops[1].kind = StopKind::Trap(hokku_ir::Trap::Fetch);
    keep(&cache, &memory, &region);
    assert!(found(&cache, &memory, at).is_none());
}

#[test]
fn what_would_be_written_outside_of_the_code_is_refused() {
    let folder = Folder::new("unsound");
    let (memory, at) = guest(0x1b_0000_0000);
    let changes: [fn(&mut Compiled); 5] = [
        |c| c.relocations[0].offset = 97,
        |c| c.links[0].site = 9,
        |c| c.back_edges[0].stub = 100,
        |c| c.counters[1] = 97,
        |c| c.blocks[0].checked = 100,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let cache = folder.cache();
        let mut region = region(at);
        change(&mut region.1);
        keep(&cache, &memory, &region);
        assert!(found(&cache, &memory, at).is_none(), "change {i}");
    }
}

#[test]
fn damage_costs_the_damaged_entry_only() {
    let folder = Folder::new("damage");
    let (memory, at) = guest(0x15_0000_0000);
    let cache = folder.cache();
    store(&cache, &memory, at);
    cache.flush();
    let [file] = &folder.files()[..] else { panic!("one file") };
    let whole = fs::read(file).unwrap();
    for at_byte in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at_byte] ^= 0x40;
        fs::write(file, &damaged).unwrap();
        assert!(found(&folder.cache(), &memory, at).is_none(), "byte {at_byte}");
        fs::write(file, &whole[..at_byte]).unwrap();
        assert!(found(&folder.cache(), &memory, at).is_none(), "cut to {at_byte} bytes");
    }
    // It is replaced by the next that writes.
    let next = folder.cache();
    assert!(found(&next, &memory, at).is_none());
    store(&next, &memory, at);
    next.flush();
    assert!(found(&folder.cache(), &memory, at).is_some());
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn processes_add_to_each_other() {
    let folder = Folder::new("union");
    let (memory, at) = guest(0x16_0000_0000);
    let caches: Vec<_> = (0..4).map(|_| folder.cache()).collect();
    for (i, cache) in caches.iter().enumerate() {
        assert!(found(cache, &memory, at).is_none());
        let at = at.offset(0x100 + 0x10 * i as u64);
        memory.write_bytes(at, &CODE).unwrap();
        store(cache, &memory, at);
    }
    caches.iter().for_each(DiskCache::flush);
    assert!(folder.files().len() < 3, "small files become one");
    assert_eq!(contents(&folder.0).unwrap().regions(), 4);
    let next = folder.cache();
    assert!((0..4).all(|i| found(&next, &memory, at.offset(0x100 + 0x10 * i)).is_some()));
}

#[test]
fn a_folder_that_others_can_write_is_not_trusted() {
    let folder = Folder::new("foreign");
    let (memory, at) = guest(0x17_0000_0000);
    let cache = folder.cache();
    store(&cache, &memory, at);
    cache.flush();
    let image = folder.files()[0].parent().unwrap().to_owned();
    fs::set_permissions(&image, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(found(&folder.cache(), &memory, at).is_none());
    fs::set_permissions(&image, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(found(&folder.cache(), &memory, at).is_some());
}

#[test]
fn a_place_that_is_no_folder_costs_nothing_else() {
    let folder = Folder::new("file");
    let (memory, at) = guest(0x18_0000_0000);
    fs::write(&folder.0, b"not a folder").unwrap();
    let cache = folder.cache();
    store(&cache, &memory, at);
    cache.flush();
    assert!(found(&folder.cache(), &memory, at).is_none());
    assert_eq!(contents(&folder.0).unwrap().files(), 0);
    fs::remove_file(&folder.0).unwrap();
}

#[test]
fn what_is_used_least_goes_first() {
    let folder = Folder::new("prune");
    let (memory, at) = guest(0x19_0000_0000);
    let mut files = Vec::new();
    for n in 0..4 {
        memory.set_image(GuestAddr(at.0 - PAGE_SIZE + 3), 2 * PAGE_SIZE, Some(ImageId(n))).unwrap();
        let cache = folder.cache();
        store(&cache, &memory, at);
        cache.flush();
        let new: Vec<_> = folder.files().into_iter().filter(|f| !files.contains(f)).collect();
        let used = SystemTime::now() - Duration::from_secs(86_400 * (4 - n));
        fs::File::open(&new[0]).unwrap().set_modified(used).unwrap();
        files.extend(new);
    }
    let bytes = fs::metadata(&files[0]).unwrap().size();
    // The first is used again.
    memory.set_image(GuestAddr(at.0 - PAGE_SIZE + 3), 2 * PAGE_SIZE, Some(ImageId(0))).unwrap();
    assert!(found(&folder.cache(), &memory, at).is_some());
    assert_eq!(prune(&folder.0, 2 * bytes).unwrap(), 2 * bytes);
    let mut left = folder.files();
    left.sort();
    let mut expected = vec![files[0].clone(), files[3].clone()];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(contents(&folder.0).unwrap().images, 2);
    prune(&folder.0, 0).unwrap();
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn a_child_finds_what_its_parent_has_yet_to_write_and_leaves_it_to_it() {
    let folder = Folder::new("child");
    let (memory, at) = guest(0x1a_0000_0000);
    let cache = folder.cache();
    store(&cache, &memory, at);
    cache.moved_to_child();
    assert!(found(&cache, &memory, at).is_some());
    cache.flush();
    assert_eq!(folder.files().len(), 0);
}

#[test]
fn one_thread_at_a_time_writes_what_has_become_much() {
    let folder = Folder::new("one-writer");
    let (memory, at) = guest(0x1a_0000_0000);
    let cache = folder.cache();
    let store_much = || {
        let mut region = region(at);
        region.1.code.resize(WRITE_AT, 0);
        keep(&cache, &memory, &region);
    };
    cache.is_writing.store(true, Ordering::Relaxed);
    store_much();
    assert!(folder.files().is_empty() && found(&cache, &memory, at).is_some());
    // Nobody writes in a new process.
    cache.moved_to_child();
    store_much();
    assert_eq!(folder.files().len(), 1);
    assert!(!cache.is_writing.load(Ordering::Relaxed));
    assert!(found(&folder.cache(), &memory, at).is_some());
}
