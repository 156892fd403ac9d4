# The commands of a working day. `just` lists them; each line also works when it is copied into a shell.

[private]
default:
    @just --list --unsorted

# Format, compile and lint everything (about a minute after a change)
check:
    cargo fmt
    cargo clippy --all-targets --locked -- -D warnings

# Run the tests whose names contain FILTER, e.g. `just test lock` or `just test api_server::logs`
test FILTER:
    cargo test --locked {{FILTER}}

# Run all tests but those that need containers (20 to 25 minutes on two cores; makes its own control plane)
test-all:
    cargo test --locked

# Update recorded expectations and snapshots; review the difference before you commit it
bless FILTER="":
    INSTA_UPDATE=always cargo test --locked --lib {{FILTER}}

# Save what `status` evaluates as a new rollout situation: `just record NAME CONTEXT NAMESPACE`
record NAME CONTEXT NAMESPACE:
    tests/fixtures/rollout/record {{NAME}} {{CONTEXT}} {{NAMESPACE}}

# Run the tests that need a container engine, kind and OpenHands' images
test-containers:
    cargo test --locked --test suite -- --ignored containers::

# Measure the table of docs/performance.md and write it
bench:
    cargo bench --bench performance -- --write

# Produce the failed rollouts of docs/diagnosis.md and write it
diagnosis:
    cargo bench --bench diagnosis -- --write

# Record the screens of docs/screens again; review the difference before you commit it
screens:
    INSTA_UPDATE=always cargo test --locked --test suite -- api_server::screens
