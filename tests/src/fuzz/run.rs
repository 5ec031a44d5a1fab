//! Runs cases and counts.

use std::collections::BTreeMap;

use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::eval::{Evaluator, x87_from_doubles, x87_to_doubles};
use hokku_ir::{CpuMode, CpuState, X87Arithmetic};
use hokku_runtime::Tiering;
use iced_x86::Code;
use serde::{Deserialize, Serialize};

use super::case::{self, Program, Start};
use super::compare::{After, Field, differences};
use super::evaluate::{self, Outcome, Translated};
use super::explain::explain;
use super::machine::{Jit, Machine, Processor};
use super::makes;
use super::pages::{BYTES, Pages};
use super::report::{self, Id};
use super::rng::Rng;
use super::sequence;
use crate::oracle::layout::WRITABLE;

/// States that each program is run from.
pub const STATES: u64 = 8;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of everything.
    pub seed: u64,
    /// Word size.
    pub mode: CpuMode,
    /// The guest's processor.
    pub model: CpuModel,
    /// Instructions to draw from.
    pub codes: Vec<Code>,
    /// Whether programs are pieces of code instead of one instruction each.
    pub sequences: bool,
    /// Differences to report in full; further ones are counted.
    pub reports: usize,
}

impl Plan {
    /// Program `number`, if an encoding was found, and the generator for its states.
    pub fn program(&self, number: u64) -> (Rng, Option<Program>) {
        let mut rng = Rng::new(self.seed, number);
        if self.sequences {
            let program = sequence::program(&mut rng, &self.codes, self.mode, self.model);
            return (rng, Some(program));
        }
        let code = rng.pick(&self.codes);
        let program = Program::single(&mut rng, code, self.mode);
        (rng, program.map(|p| p.on(self.model)))
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Cases compared.
    pub cases: u64,
    /// Cases that ended with an exception on the processor.
    pub exceptions: u64,
    /// Cases with differences of which all are explained, by explanation.
    pub explained: BTreeMap<String, u64>,
    /// Cases drawn but not run, since they could touch memory of this process or have no encoding.
    pub skipped: u64,
    /// Cases whose instruction form is not translated.
    pub untranslated: u64,
    /// Unexplained differences by instruction.
    pub different: BTreeMap<String, u64>,
    /// Full reports.
    pub reports: Vec<String>,
    /// Crashes of whole processes: which program, and how it ended.
    pub crashes: Vec<String>,
}

impl Tally {
    /// Number of unexplained differences.
    pub fn differences(&self) -> u64 {
        self.different.values().sum()
    }

    /// Adds what another run found.
    pub fn add(&mut self, other: Tally) {
        self.cases += other.cases;
        self.exceptions += other.exceptions;
        for (name, n) in other.explained {
            *self.explained.entry(name).or_default() += n;
        }
        self.skipped += other.skipped;
        self.untranslated += other.untranslated;
        for (name, n) in other.different {
            *self.different.entry(name).or_default() += n;
        }
        self.reports.extend(other.reports);
        self.crashes.extend(other.crashes);
    }
}

/// What the evaluator is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// This processor.
    Processor,
    /// The JIT, with these tiers.
    Jit(Tiering),
    /// The same with x87 arithmetic in doubles, where the back end has that.
    JitInDoubles(Tiering),
}

impl Against {
    fn wanted_x87(self) -> X87Arithmetic {
        match self {
            Against::Processor | Against::Jit(_) => X87Arithmetic::Exact,
            Against::JitInDoubles(_) => X87Arithmetic::Double,
        }
    }
}

/// Runs cases on a machine and through the evaluator.
pub struct Runner {
    machine: Box<dyn Machine>,
    /// Whether the machine is this processor itself.
    is_processor: bool,
    x87: X87Arithmetic,
    evaluator: Evaluator,
    pattern: Box<[u8; BYTES]>,
    memory: Vec<u8>,
    pages: Pages,
}

impl Runner {
    /// For code of `mode` on the processor `model`. `Err` says why this host cannot.
    pub fn new(against: Against, mode: CpuMode, model: CpuModel) -> Result<Runner, String> {
        let pattern = case::pattern();
        let machine: Box<dyn Machine> = match against {
            Against::Processor => Box::new(Processor::new(&pattern)?),
            Against::Jit(tiering) | Against::JitInDoubles(tiering) => {
                Box::new(Jit::new(mode, model, against.wanted_x87(), tiering, &pattern)?)
            }
        };
        let (memory, pages) = (vec![0; WRITABLE as usize], Pages::new(&pattern));
        let x87 = machine.x87();
        let is_processor = against == Against::Processor;
        Ok(Runner { machine, is_processor, x87, evaluator: Evaluator::new(), pattern, memory, pages })
    }

    /// Runs programs `from` to `to` of `plan`, [`STATES`] cases each; calls `next` before each.
    pub fn run(&mut self, plan: &Plan, from: u64, to: u64, next: impl Fn(u64)) -> Tally {
        let mut tally = Tally::default();
        for number in from..to {
            next(number);
            let (mut rng, program) = plan.program(number);
            let Some(program) = program.filter(|p| self.can_run(p)) else {
                tally.skipped += STATES;
                continue;
            };
            self.program(plan, number, &program.computing_in(self.x87), &mut rng, &mut tally);
        }
        tally
    }

    /// Whether the machine takes `program` for what it is.
    fn can_run(&self, program: &Program) -> bool {
        let read_otherwise = self.is_processor && crate::is_of_another_make() && makes::left_out(program).is_some();
        !read_otherwise && (!program.needs_segments() || self.machine.has_segments())
    }

    fn program(&mut self, plan: &Plan, number: u64, program: &Program, rng: &mut Rng, tally: &mut Tally) {
        let translated = evaluate::translated(program, rng.percent(50));
        self.machine.load(program);
        let mut last = None;
        for state in 0..STATES {
            let start =
                if plan.sequences { Some(sequence::start(rng, plan.mode)) } else { program.start(rng, &mut last) };
            let Some(start) = start else {
                tally.skipped += 1;
                continue;
            };
            let start = match self.x87 {
                X87Arithmetic::Exact => start,
                X87Arithmetic::Double => in_doubles(start),
            };
            let id = Id { seed: plan.seed, number: number * STATES + state };
            self.case(plan, id, program, &translated, &start, tally);
        }
    }

    /// What differs without an explanation when `program` is run from `start`; `None` where it is not translated whole.
    pub fn differing(&mut self, program: &Program, optimise: bool, start: &Start) -> Option<Vec<Field>> {
        self.machine.load(program);
        match self.both(program, &evaluate::translated(program, optimise), start) {
            Both::Compared { fields, .. } => Some(fields),
            Both::Incomparable => None,
        }
    }

    /// Runs one case on both sides; what differs, if it could be compared.
    fn both(&mut self, program: &Program, translated: &Translated, start: &Start) -> Both {
        self.memory.copy_from_slice(&self.pattern[..WRITABLE as usize]);
        start.apply(&mut self.memory);
        let mut ours = start.cpu.clone();
        self.pages.reset(&self.memory);
        self.pages.set_code(program.at, &program.bytes);
        let outcome = evaluate::run(translated, program, &mut self.evaluator, &mut ours, &self.pages);
        let Outcome::Ended(our_ending) = outcome else { return Both::Incomparable };
        let mut native = start.cpu.clone();
        let ending = self.machine.run(program, start, &self.memory, &mut native);
        if self.x87 == X87Arithmetic::Double {
            forget_the_unknown(&mut ours, &mut native);
        }
        let memory = self.machine.memory();
        let (fields, explained) = self.pages.with(|pages| {
            let first = After { ending, cpu: &native, memory };
            let second = After { ending: our_ending, cpu: &ours, memory: pages };
            let mut fields = differences(&first, &second);
            let explained = if fields.is_empty() {
                Vec::new()
            } else {
                explain(self.is_processor, program, &start.cpu, &first, &second, &mut fields)
            };
            (fields, explained)
        });
        Both::Compared {
            fields,
            explained,
            native: Box::new(native),
            ours: Box::new(ours),
            endings: [ending, our_ending],
        }
    }

    fn case(
        &mut self,
        plan: &Plan,
        id: Id,
        program: &Program,
        translated: &Translated,
        start: &Start,
        tally: &mut Tally,
    ) {
        let Both::Compared { fields, explained, endings, .. } = self.both(program, translated, start) else {
            tally.untranslated += 1;
            return;
        };
        tally.cases += 1;
        tally.exceptions += u64::from(endings[0] != crate::oracle::Ending::Arrived);
        if fields.is_empty() {
            for name in explained {
                *tally.explained.entry(name.into()).or_default() += 1;
            }
            return;
        }
        let name = if plan.sequences { "sequence".into() } else { format!("{:?}", program.insns[0].code()) };
        let times = tally.different.entry(name).or_default();
        *times += 1;
        if (*times > 1 && !plan.sequences) || tally.reports.len() >= plan.reports {
            return;
        }
        let seen = fields;
        let (smaller, translated) = self.smaller_program(program, translated, start);
        let whole = program;
        let (program, translated) = (&smaller, &translated);
        let start = self.shrunk(program, translated, start.clone());
        let Both::Compared { fields, explained, native, ours, endings } = self.both(program, translated, &start) else {
            return;
        };
        let memory = self.machine.memory();
        let text = self.pages.with(|pages| {
            let first = After { ending: endings[0], cpu: &native, memory };
            let second = After { ending: endings[1], cpu: &ours, memory: pages };
            let bits = super::encoding::bitness(program.mode);
            let sequences = if plan.sequences { " --sequences" } else { "" };
            let cpu =
                if plan.model == CpuModel::DEFAULT { String::new() } else { format!(" --cpu {}", plan.model.name) };
            let engine = match (self.machine.name(), self.x87) {
                ("JIT", X87Arithmetic::Exact) => " --engine jit",
                ("JIT", X87Arithmetic::Double) => " --engine jit --x87 f64",
                _ => "",
            };
            let command = format!(
                "fuzz --seed {} --mode {bits}{cpu}{engine}{sequences} --first {} --cases {STATES}",
                id.seed,
                id.number / STATES * STATES
            );
            report::difference(
                id,
                &command,
                program,
                &start,
                translated,
                &fields,
                &explained,
                (&first, &second),
                self.machine.name(),
            )
        });
        let again = if fields.is_empty() {
            // What has run before counts as well: how hot code was, what was translated.
            let seen: Vec<String> = seen.iter().map(|f| format!("{} {} / {}", f.name, f.first, f.second)).collect();
            format!("  the same when run again; at first differed: {}\n", seen.join(", "))
        } else {
            String::new()
        };
        tally.reports.push(text + &again);
        self.machine.load(whole);
    }

    /// The program with instructions taken out that a difference does not need.
    fn smaller_program(&mut self, program: &Program, translated: &Translated, start: &Start) -> (Program, Translated) {
        let optimise = translated.optimised.is_some();
        let mut small = program.clone();
        if !program.is_single() {
            let mut n = 0;
            while n < small.insns.len() {
                if let Some(smaller) = sequence::without(&small, n) {
                    self.machine.load(&smaller);
                    let both = self.both(&smaller, &evaluate::translated(&smaller, optimise), start);
                    if matches!(both, Both::Compared { fields, .. } if !fields.is_empty()) {
                        small = smaller;
                    }
                }
                n += 1;
            }
        }
        self.machine.load(&small);
        let translated = evaluate::translated(&small, optimise);
        (small, translated)
    }

    /// A simpler start that still differs: registers and memory set to zero where that does not matter.
    fn shrunk(&mut self, program: &Program, translated: &Translated, mut start: Start) -> Start {
        type Simplify = Box<dyn Fn(&mut Start)>;
        let mut steps: Vec<Simplify> = vec![
            Box::new(|s| s.cpu.status_flags = 0),
            Box::new(|s| s.cpu.system_flags = hokku_ir::guest::eflags::START),
            Box::new(|s| s.cpu.mxcsr = hokku_ir::guest::MXCSR_START),
            Box::new(|s| s.cpu.x87 = hokku_ir::guest::X87::INIT),
            Box::new(|s| s.memory.clear()),
        ];
        for i in 0..16 {
            steps.push(Box::new(move |s| s.cpu.gpr[i] = 0));
            steps.push(Box::new(move |s| s.cpu.vector[i] = [0; 4]));
            steps.push(Box::new(move |s| s.cpu.vector[i][2..].fill(0)));
            steps.push(Box::new(move |s| s.cpu.x87.regs[i % 8] = Default::default()));
        }
        for simplify in steps {
            let mut simpler = start.clone();
            simplify(&mut simpler);
            if !program.start_is_harmless(&simpler) {
                continue;
            }
            let both = self.both(program, translated, &simpler);
            if matches!(both, Both::Compared { fields, .. } if !fields.is_empty()) {
                start = simpler;
            }
        }
        start
    }
}

/// `start` with doubles in the x87 registers, and no exception flags.
fn in_doubles(mut start: Start) -> Start {
    let cpu = &mut start.cpu;
    x87_to_doubles(cpu);
    // What registers were is not to come back.
    cpu.host.x87_extended = Default::default();
    x87_from_doubles(cpu);
    start
}

/// What the arithmetic in doubles leaves open: empty registers, whether a register is a double or what an MMX instruction has left there that is read
/// as this double, and the exception flags in mxcsr.
fn forget_the_unknown(ours: &mut CpuState, native: &mut CpuState) {
    let doubles = |cpu: &CpuState| {
        let mut cpu = cpu.clone();
        x87_to_doubles(&mut cpu);
        cpu.x87.regs.map(|reg| reg.significand)
    };
    let is_same: Vec<bool> = doubles(ours).iter().zip(doubles(native)).map(|(a, b)| *a == b).collect();
    for (n, is_same) in is_same.into_iter().enumerate() {
        if is_same || ours.x87.tags >> n & 1 == 0 {
            ours.x87.regs[n] = native.x87.regs[n];
        }
    }
    ours.mxcsr &= !0x3f;
    native.mxcsr &= !0x3f;
}

/// A case on both sides.
enum Both {
    Compared {
        fields: Vec<Field>,
        explained: Vec<&'static str>,
        native: Box<CpuState>,
        ours: Box<CpuState>,
        endings: [crate::oracle::Ending; 2],
    },
    Incomparable,
}
