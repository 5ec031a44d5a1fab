# Daily commands. `just --list` shows them; each is one line that works without just too.

# Format, lints, tests: what CI runs
check:
    bash .ci/run

# All tests
test:
    cargo test --workspace

# Tests on a riscv64 host under qemu; `full` for all, or a command with the build's environment
test-riscv64 *ARGS:
    .ci/cross riscv64 {{ARGS}}

# The same on an aarch64 host
test-aarch64 *ARGS:
    .ci/cross aarch64 {{ARGS}}

# Rewrites the expected parts of filetests and generated pages; read the diff
bless:
    UPDATE_EXPECT=1 cargo test --workspace

# Front end and evaluator against this processor (x86-64 hosts)
fuzz *ARGS:
    cargo run --release -p hokku-tests --bin fuzz -- {{ARGS}}

# Time of the benchmark kernels as ratios to native
bench *ARGS:
    cargo run --release -p hokku-tests --bin bench -- {{ARGS}}

# Executed instructions on other hosts, counted under qemu: per guest instruction, and per instruction of native code
count *ARGS:
    cargo run --release -p hokku-tests --bin bench -- --executed riscv64,riscv64-zb,riscv64-v,aarch64 {{ARGS}}

# Rebuilds the prebuilt guest root from its C sources
guest:
    tests/guest/build.sh

# API documentation of the workspace
docs:
    cargo doc --workspace --no-deps --document-private-items
