use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hokku_ir::eval::Memory;
use hokku_ir::{CpuMode, GuestAddr};

use super::*;

const RW: Prot = Prot::READ.union(Prot::WRITE);

/// In a place of its own: other tests, in the same process, do not map what this one gives back.
fn somewhere(memory: &GuestMemory, len: u64, prot: Prot) -> GuestAddr {
    static NEXT: AtomicU64 = AtomicU64::new(0x10_0000_0000);
    let low = GuestAddr(NEXT.fetch_add(0x1000_0000, Ordering::Relaxed));
    let place = Placement::Lowest { low, high: HIGHEST_64, align: PAGE_SIZE };
    memory.map_anonymous(place, len, prot, false).expect("mapping")
}

#[test]
fn integers_and_strings_come_back() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let at = somewhere(&memory, 2 * PAGE_SIZE, RW);
    memory.write_u64(at, 0x1122_3344_5566_7788).unwrap();
    assert_eq!(memory.read_u32(at.offset(4)), Ok(0x1122_3344));
    assert_eq!(memory.read_u16(at), Ok(0x7788));
    let text = at.offset(PAGE_SIZE - 3);
    memory.write_bytes(text, b"across\0").unwrap();
    assert_eq!(memory.read_c_string(text, 100), Ok(b"across".to_vec()));
    assert_eq!(memory.read_c_string(text, 4), Ok(b"acro".to_vec()));
    assert_eq!(memory.update_u32(at, |v| v + 1), Ok(0x5566_7788));
    assert_eq!(memory.read_u32(at), Ok(0x5566_7789));
    assert_eq!(memory.atomic_cas_16(at, 0x1122_3344_5566_7789, 2 << 64 | 1), Ok(0x1122_3344_5566_7789));
    assert_eq!(memory.read_u64(at.offset(8)), Ok(2));
}

#[test]
fn faults_name_the_first_bad_byte() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let at = somewhere(&memory, 2 * PAGE_SIZE, RW);
    let second = at.offset(PAGE_SIZE);
    memory.protect(second, PAGE_SIZE, Prot::READ).unwrap();
    let fault = MemoryFault { address: second, access: Access::Write, cause: FaultCause::Protection };
    assert_eq!(memory.write_bytes(at.offset(PAGE_SIZE - 2), &[1, 2, 3]), Err(fault));
    assert_eq!(memory.store(at.offset(PAGE_SIZE - 2), 4, 7), Err(fault));
    memory.unmap(second, PAGE_SIZE).unwrap();
    let fault = MemoryFault { address: second, access: Access::Read, cause: FaultCause::Unmapped };
    assert_eq!(memory.load(at.offset(PAGE_SIZE - 2), 4), Err(fault));
    assert_eq!(memory.read_bytes(at, &mut [0; 5000]), Err(fault));
    let wild = GuestAddr(u64::MAX - 1);
    let fault = MemoryFault { address: wild, access: Access::Read, cause: FaultCause::Unmapped };
    assert_eq!(memory.read_u64(wild), Err(fault));
    assert_eq!(memory.compare_exchange(wild, 4, 0, 0).map_err(|f| f.address), Err(wild));
}

#[test]
fn a_truncated_file_is_a_bus_error() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let file = rustix::fs::memfd_create("empty", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let place = Placement::Lowest { low: GuestAddr(0x3_0000_0000), high: HIGHEST_64, align: PAGE_SIZE };
    let at = memory.map_file(place, PAGE_SIZE, RW, file.as_fd(), 0, true).unwrap();
    let fault = MemoryFault { address: at, access: Access::Read, cause: FaultCause::Bus };
    assert_eq!(memory.read_u8(at), Err(fault));
}

#[test]
fn write_only_and_execute_only_memory_can_be_read() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let at = somewhere(&memory, PAGE_SIZE, Prot::EXECUTE);
    assert_eq!(memory.read_u8(at), Ok(0));
    assert!(memory.write_u8(at, 1).is_err());
    memory.protect(at, PAGE_SIZE, Prot::WRITE).unwrap();
    memory.write_u8(at, 1).unwrap();
    assert_eq!(memory.read_u8(at), Ok(1));
    memory.protect(at, PAGE_SIZE, Prot::empty()).unwrap();
    assert!(memory.read_u8(at).is_err());
}

/// The only test here that maps anything below 4 GiB: there is room for one 32-bit address space in a process.
#[test]
fn the_32_bit_window_is_complete() {
    let memory = GuestMemory::new(CpuMode::Protected32).unwrap();
    for at in [LOWEST, GuestAddr(0x0804_8000), GuestAddr(0x8000_0000), GuestAddr(0xffff_f000)] {
        memory.map_anonymous(Placement::Exactly(at), PAGE_SIZE, RW, false).unwrap();
        memory.write_word(at, at.0).unwrap();
        assert_eq!(memory.read_word(at), Ok(at.0));
    }
    assert!(memory.load(GuestAddr(0xffff_fffe), 4).is_err(), "the page behind the window is a guard");
    assert_eq!(memory.map_anonymous(Placement::Exactly(HIGHEST_32), PAGE_SIZE, RW, false), Err(MapError::BadRange));
    drop(memory);
    drop(GuestMemory::new(CpuMode::Protected32).expect("the window is free again"));
}

#[test]
fn bad_ranges_are_errors() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let anonymous = |place, len| memory.map_anonymous(place, len, RW, false);
    assert_eq!(anonymous(Placement::Replace(GuestAddr(0)), PAGE_SIZE), Err(MapError::BadRange));
    assert_eq!(anonymous(Placement::Replace(GuestAddr(0x10001)), PAGE_SIZE), Err(MapError::BadRange));
    assert_eq!(anonymous(Placement::Replace(LOWEST), 0), Err(MapError::BadRange));
    assert_eq!(anonymous(Placement::Replace(LOWEST), u64::MAX), Err(MapError::BadRange));
    assert_eq!(anonymous(Placement::Replace(GuestAddr(u64::MAX - 0xfff)), PAGE_SIZE), Err(MapError::BadRange));
    let at = somewhere(&memory, PAGE_SIZE, RW);
    assert_eq!(anonymous(Placement::Exactly(at), PAGE_SIZE), Err(MapError::Occupied));
    assert_eq!(memory.protect(at, 4 * PAGE_SIZE, Prot::READ), Err(MapError::Unmapped));
    assert_eq!(memory.find_free(u64::MAX, LOWEST, HIGHEST_64, PAGE_SIZE), Err(MapError::NoSpace));
}

#[test]
fn the_hosts_own_mappings_are_never_replaced() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let other = GuestMemory::new(CpuMode::Long64).unwrap();
    let low = GuestAddr(0x5_0000_0000);
    let place = Placement::Lowest { low, high: HIGHEST_64, align: PAGE_SIZE };
    let first = memory.map_anonymous(place, PAGE_SIZE, RW, false).unwrap();
    memory.write_u32(first, 77).unwrap();
    assert_eq!(other.map_anonymous(Placement::Exactly(first), PAGE_SIZE, RW, false), Err(MapError::Occupied));
    let second = other.map_anonymous(place, PAGE_SIZE, RW, false).unwrap();
    assert_ne!(first, second);
    assert_eq!(memory.read_u32(first), Ok(77));
}

#[test]
fn translated_pages_are_given_back_when_they_are_written() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let at = somewhere(&memory, PAGE_SIZE, RW | Prot::EXECUTE);
    let ticket = memory.watch_code(at.offset(5)).unwrap();
    assert!(memory.code_ticket_holds(at, ticket));
    memory.write_u8(at, 1).unwrap();
    assert!(!memory.code_ticket_holds(at, ticket));
    let again = memory.watch_code(at).unwrap();
    assert_ne!(ticket, again);
    memory.host_buffer(at, 8, Access::Write).unwrap();
    assert!(!memory.code_ticket_holds(at, again));
}

#[test]
fn a_store_through_any_mapping_reaches_the_code_of_all() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let file = rustix::fs::memfd_create("code", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, 4 * PAGE_SIZE).unwrap();
    let map = |pages, prot, first_page: u64, shared| {
        // Where no test beside this one maps: one of the places is given back and taken again.
        let place = Placement::Lowest { low: GuestAddr(0xb_0000_0000), high: HIGHEST_64, align: PAGE_SIZE };
        memory.map_file(place, pages * PAGE_SIZE, prot, file.as_fd(), first_page * PAGE_SIZE, shared).unwrap()
    };
    let writable = map(4, RW, 0, true);
    let first = map(2, Prot::READ | Prot::EXECUTE, 1, true);
    let second = map(1, RW | Prot::EXECUTE, 2, true);
    let private = map(1, RW | Prot::EXECUTE, 2, false);
    // The pages that are the file's third one.
    let same = [first.offset(PAGE_SIZE), second, private];
    let protect = || {
        // Rewritten so often, the pages would be checked instead.
        memory.code_pages().forget_rewrites(&(0..u64::MAX));
        same.map(|at| (at, memory.watch_code(at).unwrap()))
    };
    let holding =
        |tickets: [(GuestAddr, CodeTicket); 3]| tickets.map(|(at, ticket)| memory.code_ticket_holds(at, ticket));

    let tickets = protect();
    memory.write_u8(writable.offset(PAGE_SIZE), 1).unwrap();
    assert_eq!(holding(tickets), [true; 3], "a neighbour has no part in it");
    assert!(memory.store(writable.offset(3 * PAGE_SIZE - 4), 8, 1).is_ok());
    assert_eq!(holding(tickets), [false; 3]);

    let tickets = protect();
    memory.write_u8(second, 1).unwrap();
    assert_eq!(holding(tickets), [false; 3]);

    let tickets = protect();
    memory.host_buffer(writable, 4 * PAGE_SIZE, Access::Write).unwrap();
    assert_eq!(holding(tickets), [false; 3]);

    let tickets = protect();
    memory.write_u8(private, 1).unwrap();
    assert_eq!(holding(tickets), [true, true, false], "its stores are its own");

    // Those who come later have their part, and so have those who may write later.
    let late = map(1, Prot::READ, 2, true);
    let tickets = protect();
    memory.protect(late, PAGE_SIZE, RW).unwrap();
    let tickets = [tickets, protect()].map(|t| t[0]);
    assert!(memory.code_ticket_holds(tickets[1].0, tickets[1].1));
    memory.write_u8(late, 1).unwrap();
    assert!(tickets.iter().all(|&(at, ticket)| !memory.code_ticket_holds(at, ticket)));

    // And those who are gone have none.
    let tickets = protect();
    memory.unmap(writable, 4 * PAGE_SIZE).unwrap();
    let again = protect();
    memory.map_anonymous(Placement::Exactly(writable), 4 * PAGE_SIZE, RW, false).unwrap();
    memory.fill(writable, 1, 4 * PAGE_SIZE).unwrap();
    assert_eq!((holding(tickets), holding(again)), ([false; 3], [true; 3]));
}

#[test]
fn memory_is_writable_again_when_the_last_code_behind_it_is_gone() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let file = rustix::fs::memfd_create("code", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, PAGE_SIZE).unwrap();
    let map = || {
        let place = Placement::Lowest { low: GuestAddr(0x7_0000_0000), high: HIGHEST_64, align: PAGE_SIZE };
        memory.map_file(place, PAGE_SIZE, RW | Prot::EXECUTE, file.as_fd(), 0, true).unwrap()
    };
    let pages = [map(), map(), map()];
    let writable = || pages.map(|page| Memory::write(&memory, page, &[1]).is_ok());
    memory.watch_code(pages[0]).unwrap();
    memory.watch_code(pages[1]).unwrap();
    assert_eq!(writable(), [false; 3]);
    memory.release_code(pages[0].0..pages[0].0 + 1);
    assert_eq!(writable(), [false; 3], "there is code behind still");
    memory.release_code(pages[1].0..pages[1].0 + 1);
    assert_eq!(writable(), [true; 3]);
    // As a flush does it.
    memory.watch_code(pages[2]).unwrap();
    assert_eq!(writable(), [false; 3]);
    memory.release_code(0..u64::MAX);
    assert_eq!(writable(), [true; 3]);
}

fn watch(memory: &GuestMemory, at: GuestAddr) -> Watch {
    memory.watch_code(at).unwrap().watch
}

#[test]
fn pages_that_are_rewritten_often_are_checked() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let at = somewhere(&memory, 2 * PAGE_SIZE, RW | Prot::EXECUTE);
    let mut protected = 0;
    while watch(&memory, at) == Watch::Protected {
        protected += 1;
        memory.write_u8(at.offset(5), 1).unwrap();
    }
    assert!((2..10).contains(&protected), "{protected} times");
    let ticket = memory.watch_code(at).unwrap();
    memory.write_u8(at.offset(5), 2).unwrap();
    assert!(memory.code_ticket_holds(at, ticket), "stores are free");
    assert_eq!(watch(&memory, at.offset(PAGE_SIZE)), Watch::Protected, "its neighbour was never written");
    // Changes of the memory map are changes nevertheless, and where nobody can write nothing has to be checked.
    memory.protect(at, PAGE_SIZE, Prot::READ | Prot::EXECUTE).unwrap();
    assert!(!memory.code_ticket_holds(at, ticket));
    assert_eq!(watch(&memory, at), Watch::Protected);
    // Other memory at the same place starts anew.
    memory.map_anonymous(Placement::Replace(at), PAGE_SIZE, RW | Prot::EXECUTE, false).unwrap();
    assert_eq!(watch(&memory, at), Watch::Protected);
}

#[test]
fn rewritten_pages_that_run_a_lot_are_protected_again_a_few_times() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let at = somewhere(&memory, PAGE_SIZE, RW | Prot::EXECUTE);
    while watch(&memory, at) == Watch::Protected {
        memory.write_u8(at, 1).unwrap();
    }
    let mut settled = 0;
    loop {
        memory.settle_code(at);
        let ticket = memory.watch_code(at).unwrap();
        if ticket.watch == Watch::Checked {
            break;
        }
        settled += 1;
        memory.write_u8(at, 1).unwrap();
        assert!(!memory.code_ticket_holds(at, ticket));
        assert_eq!(watch(&memory, at), Watch::Checked, "one store is enough");
    }
    assert!((1..10).contains(&settled), "{settled} times");
    // What is checked for another reason stays so.
    let shared = somewhere(&memory, PAGE_SIZE, RW | Prot::EXECUTE);
    let _buffer = memory.host_buffer(shared, 8, Access::Write).unwrap();
    assert_eq!(watch(&memory, shared), Watch::Checked);
    memory.settle_code(shared);
    assert_eq!(watch(&memory, shared), Watch::Checked);
}

#[test]
fn what_others_may_write_is_checked() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let place = Placement::Lowest { low: GuestAddr(0x7_0000_0000), high: HIGHEST_64, align: PAGE_SIZE };
    let prot = Prot::READ | Prot::EXECUTE;
    let named = NamedFile::new();
    let map = |file: &std::fs::File, shared| memory.map_file(place, PAGE_SIZE, prot, file.as_fd(), 0, shared).unwrap();
    assert_eq!(watch(&memory, map(&named.file, true)), Watch::Checked, "a file that any process may open");
    assert_eq!(watch(&memory, map(&named.file, false)), Watch::Protected);
    let own = std::fs::File::from(rustix::fs::memfd_create("code", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    own.set_len(PAGE_SIZE).unwrap();
    let anonymous = memory.map_anonymous(place, PAGE_SIZE, prot, true).unwrap();
    let shared = [map(&own, true), anonymous];
    let before = shared.map(|at| (at, memory.watch_code(at).unwrap()));
    assert!(before.iter().all(|(_, ticket)| ticket.watch == Watch::Protected));
    memory.prepare_fork();
    assert!(before.iter().all(|(at, ticket)| !memory.code_ticket_holds(*at, *ticket)));
    assert_eq!(shared.map(|at| watch(&memory, at)), [Watch::Checked; 2], "a child may write to them");
    assert_eq!(watch(&memory, map(&own, true)), Watch::Checked);
}

#[test]
fn what_a_host_call_writes_to_is_not_protected() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let at = somewhere(&memory, 2 * PAGE_SIZE, RW | Prot::EXECUTE);
    let old = memory.watch_code(at).unwrap();
    let buffer = memory.host_buffer(at.offset(PAGE_SIZE - 4), 8, Access::Write).unwrap();
    assert!(!memory.code_ticket_holds(at, old));
    assert_eq!(watch(&memory, at), Watch::Checked);
    drop(buffer);
    memory.unmap(at, PAGE_SIZE).unwrap();
    assert_eq!(watch(&memory, at.offset(PAGE_SIZE)), Watch::Protected);
}

#[test]
fn writing_a_mapped_file_changes_its_code() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let place = Placement::Lowest { low: GuestAddr(0x7_0000_0000), high: HIGHEST_64, align: PAGE_SIZE };
    let (named, other) = (NamedFile::new(), NamedFile::new());
    let file = &named.file;
    file.set_len(3 * PAGE_SIZE).unwrap();
    let prot = Prot::READ | Prot::EXECUTE;
    let at = memory.map_file(place, 2 * PAGE_SIZE, prot, file.as_fd(), PAGE_SIZE, false).unwrap();
    let tickets = [at, at.offset(PAGE_SIZE)].map(|at| (at, memory.watch_code(at).unwrap()));
    let holding = || tickets.map(|(at, ticket)| memory.code_ticket_holds(at, ticket));
    memory.file_changed(file.as_fd(), 0, PAGE_SIZE).unwrap();
    memory.file_changed(other.file.as_fd(), 0, u64::MAX).unwrap();
    assert_eq!(holding(), [true, true]);
    memory.file_changed(file.as_fd(), PAGE_SIZE - 1, 2).unwrap();
    assert_eq!(holding(), [false, true]);
    memory.file_changed(file.as_fd(), 0, u64::MAX).unwrap();
    assert_eq!(holding(), [false, false]);
}

/// A file with a name, for as long as this lives.
struct NamedFile {
    file: std::fs::File,
    path: std::path::PathBuf,
}

impl NamedFile {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("hokku-code-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(PAGE_SIZE).unwrap();
        NamedFile { file, path }
    }
}

impl Drop for NamedFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

#[test]
fn a_guest_has_half_of_the_host_s_addresses() {
    let memory = GuestMemory::new(CpuMode::Long64).unwrap();
    let end = highest(CpuMode::Long64).0;
    assert!(end.is_power_of_two() && (1 << 37..=HIGHEST_64.0).contains(&end));
    let place = Placement::Exactly(GuestAddr(end - PAGE_SIZE));
    assert_eq!(memory.map_anonymous(place, PAGE_SIZE, RW, false), Ok(GuestAddr(end - PAGE_SIZE)));
    assert_eq!(memory.map_anonymous(Placement::Exactly(GuestAddr(end)), PAGE_SIZE, RW, false), Err(MapError::BadRange));
}
