//! Tests of the area table, on real guest memory.

use super::*;
use crate::team::testing::{TestMemory, guest_memory};

const RW: Protection = Protection::READ.union(Protection::WRITE);

struct Space {
    memory: TestMemory,
    areas: Areas,
}

impl Space {
    fn new() -> Self {
        Space { memory: guest_memory(CpuMode::Long64), areas: Areas::new(CpuMode::Long64) }
    }

    fn create(&mut self, spec: u32, address: u64, pages: u64) -> SysResult<(AreaId, u64)> {
        let request = AreaRequest {
            name: b"test",
            address,
            spec,
            size: pages * PAGE,
            protection: RW,
            lock: 0,
            backing: Backing::Private,
            replace: false,
        };
        self.areas.create(&self.memory, request).map(|(id, at)| (id, at.0))
    }
}

#[test]
fn a_heap_grows_in_place_inside_its_reservation() {
    let mut space = Space::new();
    let base = space.areas.reserve(B_RANDOMIZED_ANY_ADDRESS, 0, 1 << 30).expect("a reservation");
    let (heap, at) = space.create(B_EXACT_ADDRESS, base, 16).expect("an area inside");
    assert_eq!(at, base);
    let (_, other) = space.create(B_ANY_ADDRESS, 0, 16).expect("an area");
    assert!(other + 16 * PAGE <= base || other >= base + (1 << 30), "{other:#x} is inside the reservation");
    space.memory.write_u64(GuestAddr(at), 42).expect("mapped");
    space.areas.resize(&space.memory, heap, 64 * PAGE).expect("room");
    space.memory.write_u64(GuestAddr(at + 63 * PAGE), 43).expect("mapped");
    assert_eq!(space.memory.read_u64(GuestAddr(at)), Ok(42));
    space.areas.resize(&space.memory, heap, PAGE).expect("smaller");
    assert!(space.memory.read_u64(GuestAddr(at + PAGE)).is_err());
    assert_eq!(space.areas.resize(&space.memory, heap, PAGE + 1), Err(Status::B_BAD_VALUE));
}

#[test]
fn exact_addresses_must_be_free_unless_replaced() {
    let mut space = Space::new();
    let (id, at) = space.create(B_ANY_ADDRESS, 0, 4).expect("an area");
    assert_eq!(space.create(B_EXACT_ADDRESS, at, 1), Err(Status::B_BAD_VALUE));
    assert_eq!(space.create(B_EXACT_ADDRESS, at + 1, 1), Err(Status::B_BAD_VALUE));
    assert_eq!(space.create(B_EXACT_ADDRESS, 0, 1), Err(Status::B_BAD_VALUE));
    assert_eq!(space.create(99, at, 1), Err(Status::B_BAD_VALUE));
    space.areas.delete(&space.memory, id).expect("deleted");
    assert_eq!(space.areas.delete(&space.memory, id), Err(Status::B_BAD_VALUE));
    assert_eq!(space.create(B_EXACT_ADDRESS, at, 1).map(|(_, at)| at), Ok(at));
}

#[test]
fn unmapping_the_middle_leaves_two_areas() {
    let mut space = Space::new();
    let (id, at) = space.create(B_ANY_ADDRESS, 0, 5).expect("an area");
    space.areas.unmap(&space.memory, at + 2 * PAGE, PAGE).expect("unmapped");
    assert_eq!(space.areas.at(at).map(|a| (a.id, a.size)), Some((id, 2 * PAGE)));
    assert!(space.areas.at(at + 2 * PAGE).is_none());
    let tail = space.areas.at(at + 3 * PAGE).expect("the rest");
    assert_eq!((tail.base, tail.size), (at + 3 * PAGE, 2 * PAGE));
    assert_ne!(tail.id, id);
    assert!(space.memory.read_u8(GuestAddr(at + 2 * PAGE)).is_err());
    space.memory.write_u8(GuestAddr(at + 4 * PAGE), 1).expect("still mapped");
}

#[test]
fn protection_of_a_range_needs_areas_everywhere() {
    let mut space = Space::new();
    let (_, at) = space.create(B_ANY_ADDRESS, 0, 3).expect("an area");
    space.areas.protect_range(&space.memory, at + PAGE, PAGE, Protection::READ).expect("protected");
    assert!(space.memory.write_u8(GuestAddr(at + PAGE), 1).is_err());
    space.memory.write_u8(GuestAddr(at), 1).expect("as before");
    assert_eq!(space.areas.protect_range(&space.memory, at, 4 * PAGE, RW), Err(Status::B_NO_MEMORY));
    let huge = space.areas.protect_range(&space.memory, at, u64::MAX - 4 * PAGE, RW);
    assert_eq!(huge, Err(Status::B_NO_MEMORY));
}

#[test]
fn a_clone_is_the_same_memory() {
    let mut space = Space::new();
    let (id, at) = space.create(B_ANY_ADDRESS, 0, 2).expect("an area");
    space.memory.write_u32(GuestAddr(at + PAGE), 77).expect("mapped");
    let request = AreaRequest {
        name: b"clone",
        address: 0,
        spec: B_ANY_ADDRESS,
        size: 0,
        protection: RW,
        lock: 0,
        backing: Backing::Private,
        replace: false,
    };
    let file = |size| {
        let file = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, size)?;
        Ok(file)
    };
    let (copy_id, copy) = space.areas.clone_area(&space.memory, id, request, file).expect("a clone");
    assert_eq!(space.memory.read_u32(copy.offset(PAGE)), Ok(77));
    space.memory.write_u32(copy, 5).expect("mapped");
    assert_eq!(space.memory.read_u32(GuestAddr(at)), Ok(5));
    assert_eq!(space.areas.resize(&space.memory, id, PAGE), Ok(()));
    assert_eq!(space.areas.get(copy_id).map(|a| a.size), Ok(PAGE), "both shrink");
    assert!(space.memory.read_u32(copy.offset(PAGE)).is_err());
    assert_eq!(space.areas.resize(&space.memory, copy_id, PAGE), Ok(()));
    assert_eq!(space.areas.resize(&space.memory, copy_id, 2 * PAGE), Err(Status::B_NOT_ALLOWED));
}

#[test]
fn reservations_are_given_back_in_part() {
    let mut space = Space::new();
    let base = space.areas.reserve(B_ANY_ADDRESS, 0, 8 * PAGE).expect("a reservation");
    assert_eq!(space.areas.reserve(B_EXACT_ADDRESS, base + PAGE, PAGE), Err(Status::B_BAD_VALUE));
    space.areas.unreserve(base + 2 * PAGE, 2 * PAGE).expect("given back");
    assert_eq!(space.areas.reserve(B_EXACT_ADDRESS, base + 2 * PAGE, 2 * PAGE), Ok(base + 2 * PAGE));
    let (_, at) = space.create(B_BASE_ADDRESS, base, 1).expect("an area");
    assert!(at >= base + 8 * PAGE);
}

#[test]
fn an_image_of_one_size_has_one_place() {
    for mode in [CpuMode::Protected32, CpuMode::Long64] {
        let sizes = [PAGE, 3 * PAGE, 0x12_3000, 0x12_4000];
        let place = |areas: &mut Areas, size| areas.reserve(B_RANDOMIZED_BASE_ADDRESS, 0x20_0000, size).expect("room");
        let mut first = Areas::new(mode);
        let places: Vec<u64> = sizes.iter().map(|&size| place(&mut first, size)).collect();
        let mut second = Areas::new(mode);
        second.reserve(B_ANY_ADDRESS, 0, 0x30_0000).expect("room");
        for (&size, &at) in sizes.iter().zip(&places).rev() {
            assert_eq!(place(&mut second, size), at, "{size:#x}");
        }
        let again = place(&mut second, sizes[2]);
        assert!(again > places[2] && again < 0x8000_0000, "the next free range: {again:#x}");
        let low = second.reserve(B_ANY_ADDRESS, 0, PAGE).expect("room");
        assert!(low < 0x2000_0000, "other ranges are low as ever: {low:#x}");
    }
}
