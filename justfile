# Daily commands. `just --list` shows them; each is one line that works without just too.

# Format, lints, tests: what CI runs
check:
    bash .ci/run

# All tests
test:
    cargo test --workspace

# Rewrites the expected parts of filetests and generated pages; read the diff
bless:
    UPDATE_EXPECT=1 cargo test --workspace

# Front end and evaluator against this processor (x86-64 hosts)
fuzz *ARGS:
    cargo run --release -p hokku-tests --bin fuzz -- {{ARGS}}

# Time of the benchmark kernels as ratios to native
bench *ARGS:
    cargo run --release -p hokku-tests --bin bench -- {{ARGS}}

# Rebuilds the prebuilt guest root from its C sources
guest:
    tests/guest/build.sh

# API documentation of the workspace
docs:
    cargo doc --workspace --no-deps --document-private-items
