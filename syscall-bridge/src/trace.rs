//! `--strace`: one line for each call, made of the table's rows.

use std::fs::File;
use std::io::Write;

use hokku_ir::CpuMode;
use hokku_runtime::GuestMemory;

use crate::abi::Status;
use crate::args::{Shown, ThreadId};
use crate::calling::{ArgWords, RetWord};
use crate::declare::{ShownArg, Syscall};

/// Where lines go.
pub enum Tracer {
    /// To the standard error output.
    Stderr,
    /// To a file.
    File(File),
}

/// The arguments of a call as they were when it began.
pub struct Begun {
    before: Vec<String>,
}

impl Tracer {
    /// Looks at the arguments before the call changes what they point to.
    pub fn begin(&self, call: &Syscall, words: ArgWords, memory: &GuestMemory, mode: CpuMode) -> Begun {
        let shown = (call.show)(words, &Shown { memory, mode });
        Begun { before: shown.into_iter().map(|(before, _)| before).collect() }
    }

    /// Writes the line of a call that has returned.
    pub fn end(
        &self,
        thread: ThreadId,
        call: &Syscall,
        begun: Begun,
        words: ArgWords,
        cx: &Shown<'_>,
        result: Option<RetWord>,
    ) {
        // What a call that failed left behind its pointers is not its result.
        let failed = result.is_some_and(|r| is_error(call, r.value));
        let after = if failed || result.is_none() { Vec::new() } else { (call.show)(words, cx) };
        self.write(&line(thread, call, &begun.before, &after, result));
    }

    /// Writes a line about something else than a call: a signal, an end.
    pub fn note(&self, thread: ThreadId, text: &str) {
        self.write(&format!("[{thread}] {text}"));
    }

    fn write(&self, line: &str) {
        let line = format!("{line}\n");
        // A trace that cannot be written has nobody to be told of it.
        let _ = match self {
            Tracer::Stderr => std::io::stderr().lock().write_all(line.as_bytes()),
            // In one piece, so that lines of several threads do not mix.
            Tracer::File(file) => (&*file).write_all(line.as_bytes()),
        };
    }
}

fn is_error(call: &Syscall, value: i64) -> bool {
    value < 0 && call.ret != "bool" && !(call.ret == "i64" && call.name == "restore_signal_frame")
}

fn line(thread: ThreadId, call: &Syscall, before: &[String], after: &[ShownArg], result: Option<RetWord>) -> String {
    let args: Vec<String> = call
        .args
        .iter()
        .zip(before)
        .enumerate()
        .map(|(i, (arg, value))| match after.get(i).and_then(|(_, a)| a.as_ref()) {
            Some(now) if now != value => format!("{} = {value} -> {now}", arg.name),
            _ => format!("{} = {value}", arg.name),
        })
        .collect();
    let result = match result {
        None => "?".to_owned(),
        Some(r) if is_error(call, r.value) => match i32::try_from(r.value).ok().and_then(Status::new) {
            Some(status) => format!("{status}"),
            None => r.value.to_string(),
        },
        Some(r) if call.ret == "bool" => (r.value != 0).to_string(),
        Some(r) => r.value.to_string(),
    };
    format!("[{thread}] {}({}) = {result}", call.name, args.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLE;

    fn row(name: &str) -> &'static Syscall {
        TABLE.iter().find(|c| c.name == name).expect("in the table")
    }

    fn ret(value: i64) -> Option<RetWord> {
        Some(RetWord { value, wide: false })
    }

    #[test]
    fn lines_show_names_values_and_errors() {
        let create = line(ThreadId(3), row("create_sem"), &["7".into(), "\"lock\"".into()], &[], ret(1));
        assert_eq!(create, "[3] create_sem(count = 7, name = \"lock\") = 1");
        let after = [("1".to_owned(), None), ("0x8".to_owned(), Some("7".to_owned()))];
        let count = line(ThreadId(3), row("get_sem_count"), &["1".into(), "0x8".into()], &after, ret(0));
        assert_eq!(count, "[3] get_sem_count(id = 1, thread_count = 0x8 -> 7) = 0");
        let bad = line(ThreadId(3), row("delete_sem"), &["9".into()], &[], ret(Status::B_BAD_SEM_ID.raw().into()));
        assert_eq!(bad, "[3] delete_sem(id = 9) = B_BAD_SEM_ID");
        assert_eq!(
            line(ThreadId(3), row("exit_team"), &["0".into()], &[], None),
            "[3] exit_team(return_value = 0) = ?"
        );
    }
}
