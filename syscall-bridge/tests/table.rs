//! The call table against the facts about Haiku's header, and against itself.

use std::collections::BTreeSet;

use hokku_syscall_bridge::numbers::Numbers;
use hokku_syscall_bridge::{Support, TABLE};

fn facts() -> impl Iterator<Item = (&'static str, usize)> {
    include_str!("facts/syscalls.tsv").lines().filter(|l| !l.starts_with('#')).map(|line| {
        let (name, bytes) = line.split_once('\t').expect("name and bytes");
        (name, bytes.parse().expect("a number"))
    })
}

#[test]
fn all_289_calls_are_there_in_the_headers_order() {
    let table: Vec<&str> = TABLE.iter().map(|call| call.name).collect();
    let haiku: Vec<&str> = facts().map(|(name, _)| name).collect();
    assert_eq!(table.len(), 289);
    assert_eq!(table, haiku);
}

#[test]
fn arguments_take_as_many_words_as_haikus() {
    for (call, (name, bytes)) in TABLE.iter().zip(facts()) {
        assert_eq!(4 * call.words_32, bytes, "{name}");
        assert!(call.words_32 <= hokku_syscall_bridge::calling::MAX_WORDS, "{name}");
    }
}

#[test]
fn rows_say_what_they_do_and_why_they_are_not_full() {
    for call in TABLE {
        assert!(call.doc.trim().ends_with('.'), "{}: the sentence about it", call.name);
        assert_eq!(call.run.is_none(), call.support == Support::Missing, "{}", call.name);
        match call.support {
            Support::Partial(why) | Support::Stub(why) => {
                assert!(!why.is_empty() && !why.ends_with('.'), "{}: the reason", call.name);
            }
            Support::Missing | Support::Full => {}
        }
        let names: BTreeSet<_> = call.args.iter().map(|a| a.name).collect();
        assert_eq!(names.len(), call.args.len(), "{}: two arguments of one name", call.name);
    }
}

#[test]
fn every_name_has_a_number_in_the_built_in_list() {
    let numbers = Numbers::built_in();
    for (place, call) in TABLE.iter().enumerate() {
        assert_eq!(numbers.number(call.name), u32::try_from(place).ok(), "{}", call.name);
        assert_eq!(numbers.row(place as u32), Some(place));
    }
}
