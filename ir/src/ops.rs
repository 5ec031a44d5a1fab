//! The op table, and what is made of it: the [`Op`] enum, its facts, the [`Builder`] and the [`Lower`] trait of back ends.
//!
//! A row is `method = Variant { operand: Kind, ... } -> result type, [effects];` under a doc comment, which is the op's
//! specification. `ir::eval` is that specification executed.

use crate::guest::{FlagSet, Gpr, GuestAddr, Seg};
use crate::operand::*;
use crate::region::{Inst, Value};

/// Hands the whole op table to the macro `$with`.
#[macro_export]
macro_rules! for_each_op { ($with:ident) => { $with! {
    // ---- Boundaries
    /// A guest instruction of `len` bytes starts at `pc`: guest state is exact here.
    insn = Insn { pc: GuestAddr, len: Num } -> Type::Void, [boundary];

    // ---- Guest state
    /// The low `w` bits of `reg`.
    get_gpr = GetGpr { reg: Gpr, w: Width } -> w.ty(), [reads_state];
    /// Writes `reg`: W8 and W16 keep the other bits, W32 clears bits 32 to 63.
    set_gpr = SetGpr { reg: Gpr, w: Width, v: Value } -> Type::Void, [writes_state];
    /// Bits 8 to 15 of `reg` (ah, ch, dh, bh).
    get_gpr_high = GetGprHigh { reg: Gpr } -> Type::I8, [reads_state];
    /// Writes bits 8 to 15 of `reg`, keeps the others.
    set_gpr_high = SetGprHigh { reg: Gpr, v: Value } -> Type::Void, [writes_state];
    /// The guest's six status flags.
    get_flags = GetFlags {} -> Type::Flags, [reads_state];
    /// Writes the status flags in `set`, keeps the others.
    set_flags = SetFlags { set: FlagSet, v: Value } -> Type::Void, [writes_state];
    /// EFLAGS without the status flags (their places zero), I32.
    get_system_flags = GetSystemFlags {} -> Type::I32, [reads_state];
    /// Writes those non-status bits of EFLAGS that a user program may change (`eflags::USER`) from I32 `v`; `mask` limits them further.
    set_system_flags = SetSystemFlags { mask: Imm, v: Value } -> Type::Void, [writes_state];
    /// Base address of segment `seg`, I64.
    get_segment_base = GetSegmentBase { seg: Seg } -> Type::I64, [reads_state];
    /// Sets the base address of fs or gs (`wrfsbase`).
    set_segment_base = SetSegmentBase { seg: Seg, v: Value } -> Type::Void, [writes_state];
    /// Selector in `seg`, I16.
    get_selector = GetSelector { seg: Seg } -> Type::I16, [reads_state];
    /// Loads selector `v` (I16) into `seg`: a null one, a flat one of the mode (base 0), or one that a segment holds (its base, in 32-bit code), with
    /// any privilege. Into `ss` only one of data with privilege 3, into `cs` none; any other is a #GP.
    set_selector = SetSelector { seg: Seg, v: Value } -> Type::Void, [writes_state, may_fault];
    /// Vector register `reg` as `ty`: F32, F64 (low lane), V64 (low half), V128, V256.
    get_vec = GetVec { reg: Num, ty: Type } -> ty, [reads_state];
    /// Writes the low part of vector register `reg` with `v` of type `ty`; `upper` tells what becomes of the rest.
    set_vec = SetVec { reg: Num, ty: Type, upper: Upper, v: Value } -> Type::Void, [writes_state];
    /// MMX register `reg`. Puts the x87 unit into MMX state: top 0, all registers in use.
    get_mmx = GetMmx { reg: Num } -> Type::V64, [x87, may_fault];
    /// Writes MMX register `reg` (exponent all ones). Puts the x87 unit into MMX state.
    set_mmx = SetMmx { reg: Num, v: Value } -> Type::Void, [x87, may_fault];
    /// Stores the low `w` bits of MMX register `reg`. Puts the x87 unit into MMX state: the top before a fault of the store, the tags after it.
    store_mmx = StoreMmx { w: Width, reg: Num, at: Addr } -> Type::Void, [x87, writes_mem, may_fault];
    /// `mxcsr`, I32.
    get_mxcsr = GetMxcsr {} -> Type::I32, [reads_state];
    /// Sets `mxcsr` from I32; a reserved bit set is a #GP.
    set_mxcsr = SetMxcsr { v: Value } -> Type::Void, [writes_state, may_fault];

    // ---- Integers. Results are mod 2^w. No op touches flags; the ops named `*_flags` compute them.
    /// The constant `value`.
    iconst = Iconst { w: Width, value: Imm } -> w.ty(), [];
    /// `a + b`.
    add = Add { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// Flags of `ADD`.
    add_flags = AddFlags { w: Width, a: Value, b: Value } -> Type::Flags, [];
    /// `a + b + CF` of `f`.
    adc = Adc { w: Width, a: Value, b: Value, f: Value } -> w.ty(), [];
    /// Flags of `ADC`.
    adc_flags = AdcFlags { w: Width, a: Value, b: Value, f: Value } -> Type::Flags, [];
    /// `a + b + OF` of `f` (`ADOX`).
    ado = Ado { w: Width, a: Value, b: Value, f: Value } -> w.ty(), [];
    /// Flags of `ADOX`: OF is the carry out; the others are zero here: write OF only.
    ado_flags = AdoFlags { w: Width, a: Value, b: Value, f: Value } -> Type::Flags, [];
    /// `a - b`.
    sub = Sub { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// Flags of `SUB`, `CMP` (and `NEG` with `a` zero).
    sub_flags = SubFlags { w: Width, a: Value, b: Value } -> Type::Flags, [];
    /// `a - b - CF` of `f`.
    sbb = Sbb { w: Width, a: Value, b: Value, f: Value } -> w.ty(), [];
    /// Flags of `SBB`.
    sbb_flags = SbbFlags { w: Width, a: Value, b: Value, f: Value } -> Type::Flags, [];
    /// Bitwise and.
    and = And { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// Bitwise or.
    or = Or { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// Bitwise exclusive or.
    xor = Xor { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// Bitwise complement.
    not = Not { w: Width, a: Value } -> w.ty(), [];
    /// Flags of `AND`, `OR`, `XOR`, `TEST` with result `v`: SF, ZF, PF of it, CF = OF = AF = 0.
    logic_flags = LogicFlags { w: Width, v: Value } -> Type::Flags, [];
    /// Flags of `INC a`; CF is zero here: write the others only.
    inc_flags = IncFlags { w: Width, a: Value } -> Type::Flags, [];
    /// Flags of `DEC a`; CF is zero here: write the others only.
    dec_flags = DecFlags { w: Width, a: Value } -> Type::Flags, [];
    /// Low half of the product.
    mul = Mul { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// High half of the unsigned product.
    mul_high_u = MulHighU { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// High half of the signed product.
    mul_high_s = MulHighS { w: Width, a: Value, b: Value } -> w.ty(), [];
    /// Flags of `MUL`: CF = OF = high half not zero; SF of the low half; ZF, AF zero and PF of the low half (undefined by the manual).
    mul_flags_u = MulFlagsU { w: Width, a: Value, b: Value } -> Type::Flags, [];
    /// Flags of `IMUL`: CF = OF = product not the sign extension of its low half; the others as `mul_flags_u`.
    mul_flags_s = MulFlagsS { w: Width, a: Value, b: Value } -> Type::Flags, [];
    /// Quotient of the double-width unsigned `high:low` by `d`; #DE where `d` is zero or the quotient does not fit.
    div_u = DivU { w: Width, high: Value, low: Value, d: Value } -> w.ty(), [may_fault];
    /// Remainder belonging to `div_u`, which has the same operands and comes before.
    rem_u = RemU { w: Width, high: Value, low: Value, d: Value } -> w.ty(), [may_fault];
    /// Quotient, rounded to zero, of the double-width signed `high:low` by `d`; #DE as `div_u`.
    div_s = DivS { w: Width, high: Value, low: Value, d: Value } -> w.ty(), [may_fault];
    /// Remainder belonging to `div_s`; has the sign of the dividend.
    rem_s = RemS { w: Width, high: Value, low: Value, d: Value } -> w.ty(), [may_fault];
    /// `a` shifted left by I8 `n`. `n` is masked already: at most 63 for W64, else at most 31; bits beyond `w` are lost.
    shl = Shl { w: Width, a: Value, n: Value } -> w.ty(), [];
    /// Logical shift right; `n` as in `shl`.
    shr = Shr { w: Width, a: Value, n: Value } -> w.ty(), [];
    /// Arithmetic shift right; `n` as in `shl`.
    sar = Sar { w: Width, a: Value, n: Value } -> w.ty(), [];
    /// Flags of `SHL`; where `n` is zero those of `f`. OF for counts other than 1 and AF are as in `f`'s place zero (undefined by the manual); CF for
    /// counts beyond `w` is zero (undefined).
    shl_flags = ShlFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Flags of `SHR`; otherwise as `shl_flags`.
    shr_flags = ShrFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Flags of `SAR`; otherwise as `shl_flags`.
    sar_flags = SarFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Rotation left by `n` mod w; `n` masked as in `shl`.
    rotl = Rotl { w: Width, a: Value, n: Value } -> w.ty(), [];
    /// Rotation right by `n` mod w.
    rotr = Rotr { w: Width, a: Value, n: Value } -> w.ty(), [];
    /// Flags of `ROL`: `f` with CF and (count 1; else undefined, computed alike) OF replaced unless `n` (masked as in `shl`) is zero.
    rotl_flags = RotlFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Flags of `ROR`; otherwise as `rotl_flags`.
    rotr_flags = RotrFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Rotation left through CF of `f`, by `n` mod (w + 1).
    rotl_carry = RotlCarry { w: Width, a: Value, n: Value, f: Value } -> w.ty(), [];
    /// Rotation right through CF of `f`, by `n` mod (w + 1).
    rotr_carry = RotrCarry { w: Width, a: Value, n: Value, f: Value } -> w.ty(), [];
    /// Flags of `RCL`; otherwise as `rotl_flags` (no change where the count mod w+1 is zero).
    rotl_carry_flags = RotlCarryFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Flags of `RCR`; otherwise as `rotl_flags`.
    rotr_carry_flags = RotrCarryFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// `SHLD`: the upper half of `a:b` shifted left by `n` (masked as in `shl`). Counts beyond 16 for W16 are undefined: `a:b:a` here.
    shld = Shld { w: Width, a: Value, b: Value, n: Value } -> w.ty(), [];
    /// `SHRD`: the lower half of `b:a` shifted right by `n`.
    shrd = Shrd { w: Width, a: Value, b: Value, n: Value } -> w.ty(), [];
    /// Flags of `SHLD`; otherwise as `shl_flags`.
    shld_flags = ShldFlags { w: Width, a: Value, b: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Flags of `SHRD`; otherwise as `shl_flags`.
    shrd_flags = ShrdFlags { w: Width, a: Value, b: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Number of the lowest one bit of `a`; `zero` where `a` is zero.
    bit_scan_forward = BitScanForward { w: Width, a: Value, zero: Value } -> w.ty(), [];
    /// Number of the highest one bit of `a`; `zero` where `a` is zero.
    bit_scan_reverse = BitScanReverse { w: Width, a: Value, zero: Value } -> w.ty(), [];
    /// Flags of `BSF`/`BSR`: ZF = (a is zero); the others (undefined by the manual) zero.
    bit_scan_flags = BitScanFlags { w: Width, a: Value } -> Type::Flags, [];
    /// Number of zero bits above the highest one bit of `a`; the width where `a` is zero.
    count_leading_zeros = CountLeadingZeros { w: Width, a: Value } -> w.ty(), [];
    /// Number of zero bits below the lowest one bit of `a`; the width where `a` is zero.
    count_trailing_zeros = CountTrailingZeros { w: Width, a: Value } -> w.ty(), [];
    /// Flags of `LZCNT`/`TZCNT` of `a` with result `v`: CF = (a is zero), ZF = (v is zero), the others (undefined by the manual) zero.
    count_zeros_flags = CountZerosFlags { w: Width, a: Value, v: Value } -> Type::Flags, [];
    /// Number of one bits of `a`.
    count_ones = CountOnes { w: Width, a: Value } -> w.ty(), [];
    /// Flags of `POPCNT`: ZF = (a is zero), the others zero.
    count_ones_flags = CountOnesFlags { w: Width, a: Value } -> Type::Flags, [];
    /// `BEXTR`: as many bits of `a` as bits 8 to 15 of `control` say, from the one that its bits 0 to 7 say, zero-extended; bits beyond `w` are zero.
    extract_field = ExtractField { w: Width, a: Value, control: Value } -> w.ty(), [];
    /// `BZHI`: the low bits of `a`, as many as bits 0 to 7 of `n` say, zero-extended.
    low_bits = LowBits { w: Width, a: Value, n: Value } -> w.ty(), [];
    /// `PDEP`: the low bits of `a`, in order, at the places of the one bits of `mask`; zero elsewhere.
    deposit_bits = DepositBits { w: Width, a: Value, mask: Value } -> w.ty(), [];
    /// `PEXT`: the bits of `a` at the places of the one bits of `mask`, side by side from bit 0.
    extract_bits = ExtractBits { w: Width, a: Value, mask: Value } -> w.ty(), [];
    /// CRC-32C (polynomial 0x1edc6f41, bits reflected) of I32 `crc` continued by the bytes of `v`, lowest first: the plain remainder, nothing inverted.
    crc32c = Crc32c { from: Width, crc: Value, v: Value } -> Type::I32, [];
    /// `f` with CF replaced by bit `n` mod w of `a` (`BT` and its kin).
    bit_test_flags = BitTestFlags { w: Width, a: Value, n: Value, f: Value } -> Type::Flags, [];
    /// Bytes in reverse order (W32, W64).
    byte_swap = ByteSwap { w: Width, a: Value } -> w.ty(), [];
    /// Decimal adjustment of AX (I16) under flags `f`.
    bcd_adjust = BcdAdjust { op: BcdOp, a: Value, f: Value } -> Type::I16, [];
    /// Flags of that adjustment.
    bcd_adjust_flags = BcdAdjustFlags { op: BcdOp, a: Value, f: Value } -> Type::Flags, [];
    /// `v` of width `from` extended with zeros to `to`.
    extend_zero = ExtendZero { from: Width, to: Width, v: Value } -> to.ty(), [];
    /// `v` of width `from` extended with its sign to `to`.
    extend_sign = ExtendSign { from: Width, to: Width, v: Value } -> to.ty(), [];
    /// The low `to` bits of `v`, which is wider (`from`).
    truncate = Truncate { from: Width, to: Width, v: Value } -> to.ty(), [];
    /// `a` where I8 `c` is not zero, else `b`.
    select = Select { w: Width, c: Value, a: Value, b: Value } -> w.ty(), [];
    /// I8: one where `a cmp b`.
    compare = Compare { op: IntCmp, w: Width, a: Value, b: Value } -> Type::I8, [];
    /// I8: one where condition `cc` holds for flags `f`.
    condition = Condition { cc: Cond, f: Value } -> Type::I8, [];
    /// I32: the status flags of `f` at their EFLAGS places.
    flags_to_int = FlagsToInt { f: Value } -> Type::I32, [];
    /// Flags from the status places of I32 `v`.
    int_to_flags = IntToFlags { v: Value } -> Type::Flags, [];
    /// The flags in `set` from `a`, the others from `b`.
    merge_flags = MergeFlags { set: FlagSet, a: Value, b: Value } -> Type::Flags, [];
    /// The same bits as another type of equal size (I32/F32, I64/F64/V64).
    bitcast = Bitcast { from: Type, to: Type, v: Value } -> to, [];

    // ---- Memory
    /// The effective address, without segment base, zero-extended from the address width and cut to `w`.
    lea = Lea { w: Width, at: Addr } -> w.ty(), [];
    /// Reads a `ty`; `align` matters to V128 and V256 alone.
    load = Load { ty: Type, align: Align, at: Addr } -> ty, [reads_mem, may_fault];
    /// Writes `v` of type `ty`.
    store = Store { ty: Type, align: Align, at: Addr, v: Value } -> Type::Void, [writes_mem, may_fault];
    /// Atomically replaces the integer at `at` by `op(old, v)`; the result is the old value. Any alignment. A full fence.
    atomic_rmw = AtomicRmw { op: AtomicOp, w: Width, at: Addr, v: Value } -> w.ty(), [reads_mem, writes_mem, may_fault];
    /// Atomically replaces the integer at `at` by `new` where it equals `expected`; the result is the old value. A full fence; x86 writes (back) always.
    atomic_cas = AtomicCas { w: Width, at: Addr, expected: Value, new: Value } -> w.ty(), [reads_mem, writes_mem, may_fault];
    /// `CMPXCHG8B` (w = W32) or `CMPXCHG16B` (W64; #GP unless 16-byte aligned): compares rdx:rax, stores rcx:rbx or loads rdx:rax, sets ZF.
    compare_exchange_pair = CompareExchangePair { w: Width, at: Addr, locked: Flag } -> Type::Void, [reads_mem, writes_mem, may_fault, reads_state, writes_state];
    /// Orders memory accesses.
    fence = FenceOp { kind: Fence } -> Type::Void, [writes_mem];
    /// A string instruction with its prefix, on rsi, rdi, rcx (of width `address`), rax and DF; `seg` overrides the source's segment. Restartable: at a fault
    /// the registers tell what is done. With the trap flag set one element is done. `cmps` and `scas` set the status flags (unless rcx is zero at the start).
    string = String { op: StringOp, w: Width, rep: Rep, address: Width, seg: Flag, source: Seg } -> Type::Void, [reads_mem, writes_mem, may_fault, reads_state, writes_state];
    /// Stores those lanes of width `w` (W8, W32, W64) of `v` whose mask lane has its top bit set. The others are not accessed.
    store_masked = StoreMasked { w: Width, ty: Type, at: Addr, v: Value, mask: Value } -> Type::Void, [writes_mem, may_fault];
    /// Reads those lanes of width `w` (W32, W64) whose mask lane has its top bit set; the others are zero and not accessed.
    load_masked = LoadMasked { w: Width, ty: Type, at: Addr, mask: Value } -> ty, [reads_mem, may_fault];
    /// `VGATHER*` and `VPGATHER*`. `ty` has as many lanes of the wider of `w` and `index` as are gathered. Fills each lane of width `w` of vector register
    /// `mask` with its top bit, and clears what is above `ty`. Then for each lane that is set, low ones first, reads the lane of register `dst` from `at`
    /// plus the sign-extended lane of width `index` of register `indices` times 2^`scale`, clears what is above `ty` of `dst`, and clears the mask lane.
    /// At a fault the lanes before are done. In the end `mask` and what is above the lanes of `dst` are zero.
    gather = Gather { w: Width, index: Width, ty: Type, dst: Num, mask: Num, indices: Num, scale: Num, at: Addr } -> Type::Void, [reads_mem, may_fault, reads_state, writes_state];

    // ---- System
    /// `CPUID` of the guest's processor model: eax, ecx in; eax, ebx, ecx, edx out.
    cpuid = Cpuid {} -> Type::Void, [reads_state, writes_state];
    /// The time stamp counter, I64.
    rdtsc = Rdtsc {} -> Type::I64, [volatile];
    /// A random number that nobody can predict (`RDRAND`, `RDSEED`). There always is one.
    random = Random { w: Width } -> w.ty(), [volatile];
    /// `XGETBV` with ecx zero: I64 mask of state components.
    xgetbv = Xgetbv {} -> Type::I64, [reads_state];
    /// `XGETBV` with ecx one: I64 mask of those components that are not in their initial state.
    state_in_use = StateInUse {} -> Type::I64, [reads_state];
    /// `XSAVE` and kin, of the components that edx:eax and XCR0 name; `wide`: 64-bit x87 pointers. #GP unless 64-byte aligned, and for a bad header.
    xsave = Xsave { form: XsaveForm, wide: Flag, at: Addr } -> Type::Void, [x87, reads_mem, writes_mem, may_fault, reads_state, writes_state];
    /// Access rights of the descriptor that selector `v` (I16) names, I32 as `LAR` gives them; zero where a program may not use it.
    access_rights = AccessRights { v: Value } -> Type::I32, [reads_state];
    /// The word that `RDTSCP` and `RDPID` give: the processor's number, I32.
    get_tsc_aux = GetTscAux {} -> Type::I32, [volatile];
    /// Raises `trap` where I8 `c` is not zero (`INTO`, `BOUND`, selector checks); the state is that before the instruction.
    trap_if = TrapIf { trap: CheckedTrap, c: Value } -> Type::Void, [may_fault];
    /// Raises [`Trap::Stale`](crate::exit::Trap::Stale) unless the guest code at `pc` still is the integer `expected` of width `w`; the state is that before
    /// the instruction.
    check_code = CheckCode { pc: GuestAddr, w: Width, expected: Imm } -> Type::Void, [volatile, may_fault];
    /// `PAUSE`: a spin loop runs.
    pause = Pause {} -> Type::Void, [volatile];

    // ---- SSE scalars. Round by mxcsr, accumulate its exception flags, fault (#XM) where unmasked. NaN results follow x86's rules.
    /// `a op b`; min and max give `b` for equal zeros and for NaNs.
    fp_arith = FpArith { op: FpOp, ty: Type, a: Value, b: Value } -> ty, [float, may_fault];
    /// Square root.
    fp_sqrt = FpSqrt { ty: Type, a: Value } -> ty, [float, may_fault];
    /// Flags of `UCOMIS`, or `COMIS` where `signalling`.
    fp_compare_flags = FpCompareFlags { ty: Type, signalling: Flag, a: Value, b: Value } -> Type::Flags, [float, may_fault];
    /// `CMPSS`/`CMPSD`: all ones or zeros by predicate 0 to 31.
    fp_compare_mask = FpCompareMask { ty: Type, predicate: Num, a: Value, b: Value } -> ty, [float, may_fault];
    /// Float to signed integer of width `w` (W32, W64); the integer indefinite (only the top bit set) where it does not fit.
    fp_to_int = FpToInt { ty: Type, w: Width, round: FpRound, v: Value } -> w.ty(), [float, may_fault];
    /// Signed integer of width `w` to float.
    int_to_fp = IntToFp { w: Width, ty: Type, v: Value } -> ty, [float, may_fault];
    /// F32 to F64 or F64 to F32.
    fp_convert = FpConvert { from: Type, to: Type, v: Value } -> to, [float, may_fault];
    /// `ROUNDSS`/`ROUNDSD`: to an integral value. Bits of `mode`: 1:0 rounding as in mxcsr, 2 mxcsr's rounding instead, 3 no inexact exception.
    fp_integral = FpIntegral { ty: Type, mode: Num, v: Value } -> ty, [float, may_fault];
    /// `±(a * b) ± c`, rounded once (the four ops without lanes). Among NaNs the first of `a`, `b`, `c` wins.
    fp_fma = FpFma { op: FmaOp, ty: Type, a: Value, b: Value, c: Value } -> ty, [float, may_fault];

    // ---- Vectors
    /// `a op b` lane by lane; the floating-point ones as the scalars above.
    vec_binary = VecBinary { op: VecBin, ty: Type, a: Value, b: Value } -> ty, [float_if_vec_float];
    /// `op a` lane by lane; `ty` is the wider side's type. Conversions that narrow clear the upper half; those that widen read the low lanes.
    vec_unary = VecUnary { op: VecUn, ty: Type, a: Value } -> op.result_type(ty), [float_if_vec_float];
    /// An operation of three vectors.
    vec_ternary = VecTernary { op: VecTer, ty: Type, a: Value, b: Value, c: Value } -> ty, [];
    /// `fp_fma` in lanes of type `lane`.
    vec_fma = VecFma { op: FmaOp, lane: Type, ty: Type, a: Value, b: Value, c: Value } -> ty, [float, may_fault];
    /// `MMX <-> SSE` and other conversions between V64 in an MMX register and SSE lanes: `cvtpi2ps`, `cvtpi2pd` (V64 to the low V64 of singles or to V128 of doubles).
    vec_from_mmx_ints = VecFromMmxInts { to: Type, v: Value } -> to, [float, may_fault];
    /// `cvtps2pi`, `cvtpd2pi` and truncating kin: two singles (V64) or doubles (V128) to two I32 in a V64.
    vec_to_mmx_ints = VecToMmxInts { from: Type, round: FpRound, v: Value } -> Type::V64, [float, may_fault];
    /// Singles to halves, in the low half of a V128 (all of it from a V256), zeros above. Bits of `mode`: 1:0 rounding as in mxcsr, 2 mxcsr's rounding
    /// instead. FTZ has no effect.
    vec_to_half = VecToHalf { mode: Num, ty: Type, a: Value } -> Type::V128, [float, may_fault];
    /// Shift of each lane by the low 64 bits of `n` (V128 for V256, else `ty`): lanes become zero (sign) where it is too large.
    vec_shift = VecShiftBy { op: VecShift, ty: Type, a: Value, n: Value } -> ty, [];
    /// Shift of each lane by a constant.
    vec_shift_imm = VecShiftImm { op: VecShift, ty: Type, a: Value, n: Num } -> ty, [];
    /// Shuffle by an immediate.
    vec_shuffle = VecShuffleImm { op: VecShuffle, ty: Type, a: Value, b: Value, imm: Num } -> ty, [];
    /// Other operations with an immediate.
    vec_imm = VecByImm { op: VecImm, ty: Type, a: Value, b: Value, imm: Num } -> ty, [];
    /// `CMPPS` (lane F32) or `CMPPD` (F64) by predicate 0 to 31.
    vec_compare = VecCompare { lane: Type, predicate: Num, ty: Type, a: Value, b: Value } -> ty, [float, may_fault];
    /// `ROUNDPS` (lane F32) or `ROUNDPD` (F64): `fp_integral` of each lane.
    vec_integral = VecIntegral { lane: Type, mode: Num, ty: Type, a: Value } -> ty, [float, may_fault];
    /// `DPPS` (lane F32) or `DPPD` (F64), within each 128 bits: products of the lanes chosen by imm 7:4 (zero for others), summed to the lanes chosen by
    /// imm 3:0, zero elsewhere. The sum of doubles in lane i is `p[i] + p[i^1]`; of singles `s[i] + s[i^2]` with `s[i] = p[i^1] + p[i]`: among NaNs the
    /// first wins. Products, then pairs, then the sum raise their exceptions; an unmasked one ends it.
    vec_dot = VecDot { lane: Type, imm: Num, ty: Type, a: Value, b: Value } -> ty, [float, may_fault];
    /// Flags of `PTEST a, b` and kin: ZF = (no bit looked at is set in `a & b`), CF = (none in `!a & b`); the others zero.
    vec_test_flags = VecTestFlags { op: VecTest, ty: Type, a: Value, b: Value } -> Type::Flags, [];
    /// I32 mask of the lanes' top bits.
    vec_mask = VecMask { op: MaskOp, ty: Type, a: Value } -> Type::I32, [];
    /// Lane `lane` of width `w`, zero-extended to I32 (or I64 for W64).
    vec_extract = VecExtract { w: Width, ty: Type, a: Value, lane: Num } -> match w { Width::W64 => Type::I64, _ => Type::I32 }, [];
    /// `a` with lane `lane` of width `w` replaced by the low bits of integer `v` (I32, or I64 for W64).
    vec_insert = VecInsert { w: Width, ty: Type, a: Value, lane: Num, v: Value } -> ty, [];
    /// The V128 `a` with its low lane of type `ty` (F32, F64) replaced.
    vec_merge_low = VecMergeLow { ty: Type, a: Value, low: Value } -> Type::V128, [];
    /// `v` of type `from` (F32, F64, V64, V128) in the low part of a wider `ty`, zeros above.
    vec_zero_extend = VecZeroExtend { from: Type, ty: Type, v: Value } -> ty, [];
    /// Each lane of width `w` is the lowest of V128 `a`.
    vec_broadcast = VecBroadcast { w: Width, ty: Type, a: Value } -> ty, [];
    /// The low half of a V128 as V64, of a V256 as V128 (`high` no), or the high half (`high` yes); `ty` is the type of `a`.
    vec_half = VecHalf { ty: Type, high: Flag, a: Value } -> if ty == Type::V256 { Type::V128 } else { Type::V64 }, [];
    /// V128 of two V64 halves, or V256 of two V128.
    vec_join = VecJoin { ty: Type, low: Value, high: Value } -> ty, [];
    /// The constant vector with all bits of `ty` equal to `bit`.
    vec_const = VecConst { ty: Type, bit: Flag } -> ty, [];
    /// `VZEROUPPER`, or `VZEROALL` where `all`: of the 16 (32-bit code: 8) vector registers.
    zero_vectors = ZeroVectors { all: Flag } -> Type::Void, [writes_state];
    /// Index result (I32) of `PCMPESTRI`, and where not `explicit` of `PCMPISTRI`: by `control`, on V128 `a` and `b` with `a_len` and `b_len` characters
    /// (I64, signed; without meaning where the strings end at a zero).
    vec_string_index = VecStringIndex { control: Num, explicit: Flag, a: Value, a_len: Value, b: Value, b_len: Value } -> Type::I32, [];
    /// Mask result of `PCMPESTRM` or `PCMPISTRM`; operands as in `vec_string_index`.
    vec_string_mask = VecStringMask { control: Num, explicit: Flag, a: Value, a_len: Value, b: Value, b_len: Value } -> Type::V128, [];
    /// Flags of those four: CF = (some result bit), ZF = (`b` ends), SF = (`a` ends), OF = result bit 0; AF = PF = 0.
    vec_string_flags = VecStringFlags { control: Num, explicit: Flag, a: Value, a_len: Value, b: Value, b_len: Value } -> Type::Flags, [];

    // ---- x87: these act on the x87 stack as the instructions do: tags, stack faults, precision and rounding control, exceptions and all.
    /// `FLD`/`FILD`/`FBLD`: pushes the value at `at`.
    x87_load = X87Load { format: X87Format, at: Addr } -> Type::Void, [x87, reads_mem, may_fault];
    /// `FST(P)`/`FIST(P)`/`FBSTP`/`FISTTP` (`truncate`): stores ST(0), pops it where `pop`.
    x87_store = X87Store { format: X87Format, truncate: Flag, pop: Flag, at: Addr } -> Type::Void, [x87, writes_mem, may_fault];
    /// `FLD ST(i)`.
    x87_push = X87Push { st: Num } -> Type::Void, [x87, may_fault];
    /// `FLD1` and kin.
    x87_push_const = X87PushConst { value: X87Const } -> Type::Void, [x87, may_fault];
    /// `FST(P) ST(i)`.
    x87_copy = X87Copy { st: Num, pop: Flag } -> Type::Void, [x87, may_fault];
    /// `FXCH ST(i)`.
    x87_exchange = X87Exchange { st: Num } -> Type::Void, [x87, may_fault];
    /// ST(dst) = ST(dst) op ST(src), one of which is ST(0); pops where `pop`. `SubR`/`DivR`: ST(src) op ST(dst).
    x87_arith = X87Arith { op: X87Op, dst: Num, src: Num, pop: Flag } -> Type::Void, [x87, may_fault];
    /// ST(0) = ST(0) op memory operand (F32, F64, I16, I32).
    x87_arith_mem = X87ArithMem { op: X87Op, format: X87Format, at: Addr } -> Type::Void, [x87, reads_mem, may_fault];
    /// `FCOM` or `FUCOM` (`unordered`) with ST(st): sets C0, C2, C3; pops `pops` times.
    x87_compare = X87Compare { st: Num, unordered: Flag, pops: Num } -> Type::Void, [x87, may_fault];
    /// `FCOM`/`FICOM` with memory.
    x87_compare_mem = X87CompareMem { format: X87Format, pop: Flag, at: Addr } -> Type::Void, [x87, reads_mem, may_fault];
    /// `FCOMI` or `FUCOMI`: the flags; pops where `pop`.
    x87_compare_flags = X87CompareFlags { st: Num, unordered: Flag, pop: Flag } -> Type::Flags, [x87, may_fault];
    /// Works on the top of the stack.
    x87_unary = X87UnaryOp { op: X87Unary } -> Type::Void, [x87, may_fault];
    /// `FCMOVcc`: copies ST(st) to ST(0) where I8 `c` is not zero.
    x87_cmov = X87Cmov { c: Value, st: Num } -> Type::Void, [x87, may_fault];
    /// `FFREE ST(i)`, `FFREEP` where `pop`.
    x87_free = X87Free { st: Num, pop: Flag } -> Type::Void, [x87, may_fault];
    /// Initialise, clear exceptions, empty, wait.
    x87_control = X87ControlOp { op: X87Control } -> Type::Void, [x87, may_fault];
    /// The status word with the top of stack, I16.
    x87_get_status = X87GetStatus {} -> Type::I16, [x87];
    /// The control word, I16.
    x87_get_control = X87GetControl {} -> Type::I16, [x87];
    /// Sets the control word.
    x87_set_control = X87SetControl { v: Value } -> Type::Void, [x87, may_fault];
    /// Saves or loads a state image; `short` selects the 16-bit forms of `Env` and `All`. `Env` masks all exceptions after saving, `All` initialises. `Fx`: #GP
    /// unless 16-byte aligned.
    state_image = StateImageOp { image: StateImage, direction: StateDirection, short: Flag, at: Addr } -> Type::Void, [x87, reads_mem, writes_mem, may_fault, reads_state, writes_state];
} } }

impl OperandKind for GuestAddr {}

macro_rules! define_op {
    ($($(#[$doc:meta])* $method:ident = $Op:ident { $($arg:ident: $Ty:ty),* } -> $res:expr, [$($fx:ident),*];)*) => {
        /// An operation. The fields are its operands; the doc comment is its specification.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "a variant's doc comment explains its operands")]
        pub enum Op { $($(#[$doc])* $Op { $($arg: $Ty),* },)* }

        impl Op {
            /// Names of all ops, in the order of the table.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($method)),*];

            /// The op's name in the text form.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$Op { .. } => stringify!($method),)* }
            }

            /// Type of the result.
            #[inline]
            pub fn result_type(&self) -> Type {
                match *self { $(Op::$Op { $($arg),* } => { $(let _ = $arg;)* $res })* }
            }

            /// What the op does beside giving its result.
            #[inline]
            pub fn effects(&self) -> Effects {
                match self { $(Op::$Op { .. } => Effects::empty()$(.union(Effects::$fx))*,)* }.resolve(self)
            }

            /// Calls `f` with each value operand, in order.
            pub fn values(&self, f: &mut dyn FnMut(Value)) {
                match self { $(Op::$Op { $($arg),* } => { $(OperandKind::values($arg, f);)* let _ = &f; })* }
            }

            /// Replaces each value operand by `f` of it.
            pub fn map_values(&mut self, f: &mut dyn FnMut(Value) -> Value) {
                match self { $(Op::$Op { $($arg),* } => { $(OperandKind::map_values($arg, f);)* let _ = &f; })* }
            }
        }

        impl Builder {
            $(
                $(#[$doc])*
                #[inline]
                pub fn $method(&mut self $(, $arg: $Ty)*) -> Value { self.push(Op::$Op { $($arg),* }) }
            )*
        }

        /// Lowers ops to host code, one method per op, called in program order. No default bodies: a back end that misses an op does not
        /// compile.
        pub trait Lower {
            $(
                $(#[$doc])*
                fn $method(&mut self, dst: Value $(, $arg: $Ty)*);
            )*
        }

        /// Hands `inst` to the method of `to` that lowers it.
        pub fn lower(to: &mut impl Lower, inst: &Inst) {
            match inst.op { $(Op::$Op { $($arg),* } => to.$method(inst.value $(, $arg)*),)* }
        }
    };
}
for_each_op!(define_op);

/// What ops do beside giving their result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects(u16);

#[allow(non_upper_case_globals, reason = "the names are the effect words of the op table")]
impl Effects {
    /// A new guest instruction starts.
    pub const boundary: Effects = Effects(1);
    /// Reads guest registers or flags.
    pub const reads_state: Effects = Effects(1 << 1);
    /// Writes guest registers or flags.
    pub const writes_state: Effects = Effects(1 << 2);
    /// Reads guest memory.
    pub const reads_mem: Effects = Effects(1 << 3);
    /// Writes guest memory, or orders accesses to it.
    pub const writes_mem: Effects = Effects(1 << 4);
    /// May raise a guest fault; the state is then that before the instruction.
    pub const may_fault: Effects = Effects(1 << 5);
    /// Reads mxcsr's modes and accumulates its exception flags.
    pub const float: Effects = Effects(1 << 6);
    /// Reads and writes the x87 unit.
    pub const x87: Effects = Effects(1 << 7);
    /// Gives another result each time.
    pub const volatile: Effects = Effects(1 << 8);
    /// `float` and `may_fault` where the vector operation is one on floats: resolved by [`Op::effects`].
    pub const float_if_vec_float: Effects = Effects(1 << 9);

    /// No effect: the op can be dropped, repeated and moved.
    pub const fn empty() -> Effects {
        Effects(0)
    }
    /// Both sets.
    #[must_use]
    pub const fn union(self, other: Effects) -> Effects {
        Effects(self.0 | other.0)
    }
    /// Whether any of `other` is in the set.
    pub const fn intersects(self, other: Effects) -> bool {
        self.0 & other.0 != 0
    }
    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Effects) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether the op can be dropped when its result is not used: no effect, or reading state alone.
    pub const fn is_removable(self) -> bool {
        self.0 & !Effects::reads_state.0 == 0
    }

    fn resolve(self, op: &Op) -> Effects {
        if !self.contains(Effects::float_if_vec_float) {
            return self;
        }
        let float = match *op {
            Op::VecBinary { op, .. } => op.is_float(),
            Op::VecUnary { op, .. } => op.is_float(),
            _ => false,
        };
        if float { Effects::float.union(Effects::may_fault) } else { Effects::empty() }
    }
}

/// Collects the ops of one block after the other and numbers their values.
#[derive(Debug, Default)]
pub struct Builder {
    insts: Vec<Inst>,
    next: u32,
}

impl Builder {
    /// A builder whose first value is `%0`.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Appends `op`; the result is its value (without meaning for ops that give none).
    #[inline]
    pub fn push(&mut self, op: Op) -> Value {
        let value = Value(self.next);
        self.next += 1;
        self.insts.push(Inst { value, op });
        value
    }

    /// The ops since the last call: one block's.
    pub fn take(&mut self) -> Vec<Inst> {
        std::mem::take(&mut self.insts)
    }

    /// Collects the next block's ops, of which there are none yet, in the memory of `room`.
    pub fn collect_in(&mut self, room: Vec<Inst>) {
        debug_assert!(self.insts.is_empty() && room.is_empty());
        self.insts = room;
    }

    /// The ops collected so far for this block.
    pub fn insts(&self) -> &[Inst] {
        &self.insts
    }

    /// Drops the ops collected since there were `len`: an instruction that could not be translated after all.
    pub fn truncate_to(&mut self, len: usize) {
        self.insts.truncate(len);
    }

    /// One more than the largest value number given out.
    pub fn value_count(&self) -> u32 {
        self.next
    }
}
