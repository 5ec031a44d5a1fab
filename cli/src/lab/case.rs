//! The lab's JSON: one case a line in, one result a line out (version 1).

use std::collections::BTreeMap;
use std::fmt;

use hokku_ir::CpuMode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number written as `"0x..."`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits =
            text.strip_prefix("0x").ok_or_else(|| D::Error::custom(format!("{text:?} does not start with 0x")))?;
        u64::from_str_radix(digits, 16).map(Hex).map_err(|e| D::Error::custom(format!("{text:?}: {e}")))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A register's value: one number, or lanes of 64 bits with the lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Register {
    /// A general or control register.
    One(Hex),
    /// A vector register (2 or 4 lanes) or an x87 register (mantissa; sign and exponent).
    Lanes(Vec<Hex>),
}

/// A case: flat guest code, its memory and the registers at its start.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    /// Format version: 1.
    pub v: u32,
    /// Echoed.
    pub id: String,
    /// 32 or 64.
    #[serde(deserialize_with = "mode")]
    pub mode: CpuMode,
    /// Processor features that the case needs.
    #[serde(default)]
    pub features: Vec<String>,
    /// Pages.
    pub map: Vec<Mapping>,
    /// Contents.
    pub data: Vec<Data>,
    /// Registers that differ from their reset values.
    pub regs: BTreeMap<String, Register>,
    /// Limit of run time.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// Memory to report.
    #[serde(default)]
    pub dump: Vec<Dump>,
}

fn default_timeout() -> u64 {
    10_000
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CpuMode, D::Error> {
    match u32::deserialize(deserializer)? {
        32 => Ok(CpuMode::Protected32),
        64 => Ok(CpuMode::Long64),
        other => Err(D::Error::custom(format!("mode {other} is neither 32 nor 64"))),
    }
}

/// Anonymous zeroed pages.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mapping {
    /// First address.
    pub addr: Hex,
    /// Bytes.
    pub size: Hex,
    /// `r`, `rw`, `rx`, `rwx` or `none`.
    #[serde(default = "default_prot")]
    pub prot: String,
}

fn default_prot() -> String {
    "rwx".into()
}

/// Bytes to write before protections are applied.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Data {
    /// First address.
    pub addr: Hex,
    /// The bytes.
    #[serde(default)]
    pub hex: Option<String>,
    /// Or a file that holds them.
    #[serde(default)]
    pub file: Option<String>,
}

/// A range of memory to report.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dump {
    /// First address.
    pub addr: Hex,
    /// Bytes.
    pub size: Hex,
    /// Whether to give the bytes beside their hash.
    #[serde(default)]
    pub raw: bool,
}

/// How a case ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Stop {
    /// `hlt`, `signal`, `exit`, `timeout`, `killed`, `unsupported` or `setup_error`.
    pub reason: String,
    /// Signal number as on Linux.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signo: Option<u32>,
    /// The address that faulted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub addr: Option<Hex>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}

/// A case's end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// Format version: 1.
    pub v: u32,
    /// The case's.
    pub id: String,
    /// How it ended.
    pub stop: Stop,
    /// All registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regs: Option<BTreeMap<String, Register>>,
    /// The ranges asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mem: Vec<Memory>,
}

impl Outcome {
    /// An end without registers: the case did not run, or not to its end.
    pub(crate) fn without_state(id: &str, reason: &str, message: Option<String>) -> Self {
        let stop = Stop { reason: reason.into(), message, ..Stop::default() };
        Outcome { v: 1, id: id.into(), stop, regs: None, mem: Vec::new() }
    }
}

/// A reported range.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Memory {
    /// First address.
    pub addr: Hex,
    /// Bytes.
    pub size: Hex,
    /// FNV-1a of the bytes, 64 bits, 16 hexadecimal digits.
    pub fnv1a: String,
    /// The bytes, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

/// 64-bit FNV-1a of bytes that come in parts.
pub(crate) struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Fnv1a(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// Takes `bytes` in.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    }

    /// The hash of all bytes so far.
    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

/// Bytes of a string of hexadecimal digit pairs.
///
/// # Errors
/// What is wrong with the string.
pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = text
        .chars()
        .map(|c| c.to_digit(16).ok_or_else(|| format!("{c:?} is not a hexadecimal digit")))
        .collect::<Result<_, _>>()?;
    if digits.len() % 2 != 0 {
        return Err("an odd number of hexadecimal digits".into());
    }
    Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// Hexadecimal digit pairs of `bytes`.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_documented_example() {
        let case: Case = serde_json::from_str(
            r#"{"v":1,"id":"add-1","mode":64,"features":["AVX2"],"map":[{"addr":"0x10000","size":"0x1000","prot":"rwx"}],
            "data":[{"addr":"0x10000","hex":"4801d8f4"}],"regs":{"rip":"0x10000","rax":"0x1","ymm0":["0x0","0x0","0x0","0x1"]},
            "timeout_ms":10000,"stop":["hlt"],"dump":[{"addr":"0xe0000000","size":"0xa000","raw":false}],"expect":{},"tags":[],"source":{}}"#,
        )
        .unwrap();
        assert_eq!(case.mode, CpuMode::Long64);
        assert_eq!(case.regs["rax"], Register::One(Hex(1)));
        assert_eq!(from_hex(case.data[0].hex.as_deref().unwrap()).unwrap(), [0x48, 1, 0xd8, 0xf4]);
    }

    #[test]
    fn refuses_what_is_not_in_the_format() {
        assert!(serde_json::from_str::<Hex>("\"10\"").is_err());
        assert!(serde_json::from_str::<Hex>("\"0x10000000000000000\"").is_err());
        assert!(from_hex("0").is_err());
        assert!(from_hex("0g").is_err());
    }

    #[test]
    fn hashes_as_fnv1a_does() {
        let mut hash = Fnv1a::default();
        assert_eq!(hash.value(), 0xcbf29ce484222325);
        hash.add(b"a");
        assert_eq!(hash.value(), 0xaf63dc4c8601ec8c);
        hash.add(b"");
        hash.add(b"b");
        assert_eq!(hash.value(), 0x089c4407b545986a);
        assert_eq!(to_hex(&[0, 0xff]), "00ff");
    }
}
