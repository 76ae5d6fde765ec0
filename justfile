# Working: `just test tests/shard`. Before a commit: `just lint types`. Before a push: `just ready`.

# what there is
default:
    @just --list

# install everything a contributor needs
setup:
    uv sync

# run tests and doctests; arguments go to pytest
test *args:
    uv run pytest {{ args }}

# put files into the house style where a machine can
fix:
    uv run ruff format
    uv run ruff check --fix

# style and layers
lint:
    uv run ruff format --check
    uv run ruff check
    uv run lint-imports --no-logo

# both type checkers, strict
types:
    uv run mypy
    uv run pyright

# build the site into site/
docs:
    uv run zensical build --clean --strict

# every benchmark
bench: bench-io bench-import bench-index bench-query

# reading and writing, against other libraries and against the limit; arguments go to the program
bench-io *args:
    uv run python benchmarks/bench_io.py {{ args }}

# what `import atdata` costs
bench-import:
    uv run python benchmarks/bench_import.py

# what a catalogue of 100,000 datasets costs; arguments go to the program
bench-index *args:
    uv run python benchmarks/bench_index.py {{ args }}

# what manifests cost and spare; arguments go to the program
bench-query *args:
    uv run python benchmarks/bench_query.py {{ args }}

# write the figures into the docs
bench-report *args:
    uv run python benchmarks/bench_io.py --report docs/benchmarks.md {{ args }}

# keep the figures under a name; arguments after it go to the program
bench-save name="base" *args:
    uv run python benchmarks/bench_io.py --save .benchmarks/{{ name }}.json {{ args }}

# measure again and compare with kept figures
bench-compare name="base" *args:
    uv run python benchmarks/bench_io.py --compare .benchmarks/{{ name }}.json {{ args }}

# the wheel and the source archive, into dist/
build:
    uv build

# all that must hold before a push
ready: lint types test docs
