//! Guest structures against the facts about Haiku's headers, for both word sizes.

use std::collections::BTreeMap;

use hokku_ir::CpuMode;
use hokku_syscall_bridge::abi::GuestType;
use hokku_syscall_bridge::abi::structs::*;

/// Structures that are not declared as such: frames and registers are bytes in `frame.rs`, whose own tests know their offsets.
const ELSEWHERE: &[&str] =
    &["sigset_t", "ucontext_t", "mcontext_t", "signal_frame_data", "time_t", "off_t", "wchar_t", "fd_set"];

type Fields = (&'static str, Vec<(&'static str, usize, usize)>);

struct Declared {
    size: usize,
    fields: BTreeMap<&'static str, (usize, usize)>,
}

fn declared(mode: CpuMode) -> BTreeMap<&'static str, Declared> {
    fn one<T: GuestType>(mode: CpuMode, (name, fields): Fields) -> (&'static str, Declared) {
        let fields = fields.into_iter().map(|(name, offset, size)| (name, (offset, size))).collect();
        (name, Declared { size: T::size(mode), fields })
    }
    macro_rules! all {
        ($($T:ty),* $(,)?) => { [$(one::<$T>(mode, <$T>::fields(mode))),*] };
    }
    all![
        UserSpaceProgramArgs,
        ThreadCreationAttributes,
        UserThread,
        RealTimeData,
        SigInfo,
        SignalStack,
        SigAction,
        TimeSpec,
        Stat,
        AreaInfo,
        TeamInfo,
        TeamUsageInfo,
        ThreadInfo,
        SemInfo,
        PortInfo,
        PortMessageInfo,
        SystemInfo,
        ImageInfo,
        ExtendedImageInfo,
        ObjectWaitInfo,
        FsInfo,
        Termios,
        PollFd,
        IoVec,
        RLimit,
        AttrInfo,
        DirEntHead,
    ]
    .into_iter()
    .collect()
}

/// The field of ours for a field of Haiku's: `type` is no name in Rust.
fn field_name(name: &str) -> &str {
    if name == "type" { "kind" } else { name }
}

#[test]
fn sizes_and_offsets_are_haikus() {
    let of_mode = [("64", declared(CpuMode::Long64)), ("32", declared(CpuMode::Protected32))];
    let mut checked = 0;
    for line in include_str!("facts/layouts.tsv").lines().filter(|l| !l.starts_with('#')) {
        let [bits, what, offset, size] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (name, field) = what.split_once('.').map_or((what, None), |(n, f)| (n, Some(f)));
        if ELSEWHERE.contains(&name) {
            continue;
        }
        let structs = &of_mode.iter().find(|(b, _)| *b == bits).expect("32 or 64").1;
        let ours = structs.get(name).unwrap_or_else(|| panic!("{name} is declared nowhere"));
        match field {
            // What follows the head of a directory entry is its name, without padding.
            None if name == "struct dirent" => {}
            None => assert_eq!(ours.size.to_string(), size, "size of {name}, {bits} bit"),
            Some("d_name") => assert_eq!(DIRENT_NAME.to_string(), offset),
            Some(field) => {
                let (at, bytes) = ours.fields.get(field_name(field)).unwrap_or_else(|| panic!("{name} has no {field}"));
                assert_eq!(at.to_string(), offset, "offset of {what}, {bits} bit");
                if size != "-" {
                    assert_eq!(bytes.to_string(), size, "size of {what}, {bits} bit");
                }
            }
        }
        checked += 1;
    }
    assert!(checked > 180, "only {checked} facts were checked");
}

#[test]
fn what_is_encoded_is_decoded() {
    for mode in [CpuMode::Long64, CpuMode::Protected32] {
        let stat = Stat { st_ino: -5, st_size: 1 << 40, st_mode: 0o100_644, st_blocks: 7, ..Stat::default() };
        let mut bytes = vec![0xff; Stat::size(mode)];
        stat.encode(&mut bytes, mode);
        assert_eq!(Stat::decode(&bytes, mode), stat);
    }
}
