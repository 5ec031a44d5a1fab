//! Which number is which call: read out of the guest's own `_kern_*` stubs (design D2), or from a built-in list.

use hokku_ir::CpuMode;
use hokku_runtime::loader::ElfImage;

use crate::table::TABLE;

/// The highest number that is believed: Haiku has fewer than 300 calls.
const HIGHEST: u32 = 4096;

/// Place in [`TABLE`] by call number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    rows: Vec<Option<u16>>,
    unknown: Vec<String>,
    /// Where the numbers are from.
    pub source: NumberSource,
}

/// Where numbers are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberSource {
    /// The guest's own libroot or runtime loader.
    Stubs,
    /// The built-in list: the revision that the table follows.
    BuiltIn,
}

impl Numbers {
    /// The numbers of the revision whose order the table has.
    pub fn built_in() -> Self {
        let rows = (0..TABLE.len()).map(|row| u16::try_from(row).ok()).collect();
        Numbers { rows, unknown: Vec::new(), source: NumberSource::BuiltIn }
    }

    /// The numbers in the stubs of a file; `None` if it has too few to be believed.
    pub fn from_stubs(image: &ElfImage, file: &[u8]) -> Option<Self> {
        let mut numbers = Numbers { rows: Vec::new(), unknown: Vec::new(), source: NumberSource::Stubs };
        let mut found = 0;
        for symbol in &image.symbols {
            let Some(name) = symbol.name.strip_prefix("_kern_") else { continue };
            let Some(code) = symbol.address.and_then(|at| image.bytes_at(file, at, 16)) else { continue };
            let Some(number) = stub_number(image.mode, code).filter(|n| *n < HIGHEST) else { continue };
            let row = TABLE.iter().position(|call| call.name == name);
            if row.is_none() {
                numbers.unknown.push(name.to_owned());
            }
            let index = number as usize;
            if numbers.rows.len() <= index {
                numbers.rows.resize(index + 1, None);
            }
            numbers.rows[index] = row.and_then(|r| u16::try_from(r).ok());
            found += 1;
        }
        // Every program needs at least these many; a stripped or foreign file has none.
        (found >= 8).then_some(numbers)
    }

    /// Adds what `other` knows and this does not: a small libroot need not have stubs of its own for every call.
    pub fn complete_by_name(&mut self, other: &Numbers) {
        for (number, row) in other.rows.iter().enumerate() {
            if row.is_some() && !self.rows.contains(row) {
                if self.rows.len() <= number {
                    self.rows.resize(number + 1, None);
                }
                self.rows[number].get_or_insert(row.unwrap_or_default());
            }
        }
    }

    /// The row of call `number`.
    pub fn row(&self, number: u32) -> Option<usize> {
        self.rows.get(number as usize).copied().flatten().map(usize::from)
    }

    /// The number of the call called `name`.
    pub fn number(&self, name: &str) -> Option<u32> {
        let row = TABLE.iter().position(|call| call.name == name)?;
        self.rows.iter().position(|r| r.map(usize::from) == Some(row)).and_then(|n| u32::try_from(n).ok())
    }

    /// Calls that the guest has and the table has not.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }
}

/// The number that a stub loads: `mov r10, rcx` (where there is a fourth argument), `mov rax, imm32` or `mov eax, imm32`.
fn stub_number(mode: CpuMode, code: &[u8]) -> Option<u32> {
    let code = match (mode, code) {
        (CpuMode::Long64, [0x49, 0x89, 0xca, rest @ ..] | [0x4c, 0x8b, 0xd1, rest @ ..]) => rest,
        _ => code,
    };
    let number = match (mode, code) {
        (CpuMode::Long64, [0x48, 0xc7, 0xc0, number @ ..]) => number,
        (_, [0xb8, number @ ..]) => number,
        _ => return None,
    };
    Some(u32::from_le_bytes(number.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_of_both_word_sizes_are_read() {
        let long = [0x48, 0xc7, 0xc0, 0x97, 0, 0, 0, 0x0f, 0x05, 0xc3];
        let four = [0x49, 0x89, 0xca, 0x48, 0xc7, 0xc0, 0x72, 0, 0, 0, 0x0f, 0x05, 0xc3];
        let short = [0xb8, 0x97, 0, 0, 0, 0x8b, 0x15];
        assert_eq!(stub_number(CpuMode::Long64, &long), Some(0x97));
        assert_eq!(stub_number(CpuMode::Long64, &four), Some(0x72));
        assert_eq!(stub_number(CpuMode::Protected32, &short), Some(0x97));
        assert_eq!(stub_number(CpuMode::Long64, &[0x55, 0x48, 0x89, 0xe5]), None);
        assert_eq!(stub_number(CpuMode::Long64, &[0x48, 0xc7, 0xc0, 1]), None);
    }

    #[test]
    fn the_built_in_list_is_the_tables_order() {
        let numbers = Numbers::built_in();
        for (name, number) in
            [("is_computer_on", 0), ("open", 114), ("write", 151), ("create_area", 202), ("get_system_info", 250)]
        {
            assert_eq!(numbers.number(name), Some(number), "{name}");
        }
        assert_eq!(numbers.row(289), None);
    }
}
