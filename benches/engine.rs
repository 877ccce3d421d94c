//! The engine alone: no sockets, one thread. `cargo bench`, or `cargo bench -- relay` for some of it.
//!
//! Theory: one iteration of a relay is what one read brings: a batch of frames goes in, each gets its verdict, and what
//! is ready is taken out. Copying the batch into the engine is the kernel's work in a session and is not counted.
//! Figures per second are frames for small ones and bytes for large ones.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{criterion_group, criterion_main, Bencher, BenchmarkId, Criterion, Throughput};
use wsproxy::ws::buffer::Buffer;
use wsproxy::ws::decode::{decode, decode_small};
use wsproxy::ws::direction::{Direction, Poll};
use wsproxy::ws::encode::encode;
use wsproxy::ws::frame::{Kind, Side};
use wsproxy::ws::limits::Limits;
use wsproxy::ws::mask::{apply_mask, MaskSource};
use wsproxy::ws::receive::Rules;
use wsproxy::ws::utf8::Utf8;
use wsproxy::{Frame, Verdict};

const SMALL: usize = 125;
const LARGE: usize = 64 * 1024;
const HUGE: usize = 1024 * 1024;

/// What one read brings of small frames.
const BATCH: usize = 256;

const SEED: [u8; 32] = [7; 32];

fn frame(from: Side, kind: Kind, len: usize) -> Vec<u8> {
    let mask = (from == Side::Client).then(|| MaskSource::from_seed(SEED).next_mask());
    let mut bytes = Buffer::default();
    encode(&mut bytes, kind, true, &vec![b'a'; len], mask);
    bytes.to_vec()
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let small = frame(Side::Client, Kind::Binary, SMALL);
    group.bench_with_input(BenchmarkId::from_parameter(SMALL), &small, |b, bytes| {
        b.iter(|| decode_small(black_box(bytes), Side::Client)); // as a whole small message is
    });
    for len in [1000, LARGE] {
        let bytes = frame(Side::Client, Kind::Binary, len);
        group.bench_with_input(BenchmarkId::from_parameter(len), &bytes, |b, bytes| {
            b.iter(|| decode(black_box(bytes), Side::Client));
        });
    }
    group.finish();
}

fn masking(c: &mut Criterion) {
    let mut group = c.benchmark_group("mask");
    for len in [SMALL, LARGE, HUGE] {
        let mut payload = vec![b'a'; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("once", len), |b| {
            b.iter(|| apply_mask(black_box(&mut payload), [1, 2, 3, 4], 0));
        });
        group.bench_function(BenchmarkId::new("off and on again", len), |b| {
            b.iter(|| {
                apply_mask(black_box(&mut payload), [1, 2, 3, 4], 0);
                apply_mask(black_box(&mut payload), [5, 6, 7, 8], 0);
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("a fresh one", |b| {
        let mut masks = MaskSource::from_seed(SEED);
        b.iter(|| masks.next_mask());
    });
    group.finish();
}

fn text(c: &mut Criterion) {
    let mut group = c.benchmark_group("utf8");
    let mixed = "Zürich, 東京, Αθήνα 🦀 ".repeat(LARGE / 32);
    let ascii = "plain words, ".repeat(LARGE / 13);
    let ends = mixed.char_indices().map(|(at, _)| at);
    let end = ends.take_while(|at| *at <= SMALL).last().expect("a first character");
    for (name, text) in [
        ("ascii", &*ascii),
        ("mixed", &*mixed),
        ("small ascii", &ascii[..SMALL]),
        ("small mixed", &mixed[..end]),
    ] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| Utf8::default().feed(black_box(text.as_bytes())));
        });
    }
    group.finish();
}

/// The default limits of a configuration, with room for the frames that are measured.
fn rules() -> Rules {
    let most = 64 << 20;
    let limits = Limits {
        max_frame_size: most,
        max_message_size: most,
        max_fragments: 1 << 20,
        explain: false,
    };
    Rules { aggregate: false, check_utf8: true, limits }
}

/// Puts `bytes` in as far as there is room; returns how many.
fn read(direction: &mut Direction, bytes: &[u8]) -> usize {
    let space = direction.space();
    let count = space.len().min(bytes.len());
    space[..count].copy_from_slice(&bytes[..count]);
    direction.filled(count);
    count
}

type Hook = fn(&mut Frame<'_>) -> Verdict;

fn look(frame: &mut Frame<'_>) -> Verdict {
    match frame.payload().len() {
        usize::MAX => Verdict::Drop,
        _ => Verdict::Forward,
    }
}

fn replace(frame: &mut Frame<'_>) -> Verdict {
    let longer = [b'b'; SMALL + 1];
    frame.set_payload(&longer).map_or(Verdict::Drop, |()| Verdict::Forward)
}

fn leave_out(_: &mut Frame<'_>) -> Verdict {
    Verdict::Drop
}

/// Deals with all that is there, as a session does.
fn relay(direction: &mut Direction, hook: Hook) {
    while direction.poll().expect("legal frames") == Poll::Frame {
        let verdict = direction.frame().map_or(Verdict::Drop, |mut frame| hook(&mut frame));
        direction.resolve(black_box(verdict));
        if direction.is_full() {
            write(direction);
        }
    }
    write(direction);
}

fn write(direction: &mut Direction) {
    let count = direction.ready().iter().map(|part| black_box(part).len()).sum();
    direction.wrote(count);
}

/// The time that the engine needs for `bytes`, so many times.
fn time_relay(bencher: &mut Bencher, direction: &mut Direction, hook: Hook, bytes: &[u8]) {
    bencher.iter_custom(|iterations| {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            let mut done = 0;
            while done < bytes.len() {
                done += read(direction, &bytes[done..]);
                let begun = Instant::now();
                relay(direction, hook);
                total += begun.elapsed();
            }
        }
        total
    });
}

fn relaying(c: &mut Criterion) {
    for (name, inspected) in [("relay with a hook", true), ("relay without", false)] {
        let mut group = c.benchmark_group(name);
        for from in Side::BOTH {
            for (kind, len, count) in [
                (Kind::Binary, SMALL, BATCH),
                (Kind::Text, SMALL, BATCH),
                (Kind::Binary, LARGE, 1),
                (Kind::Text, LARGE, 1),
                (Kind::Binary, HUGE, 1),
            ] {
                let mut direction = Direction::new(from, rules(), SEED, [0; 8]);
                direction.set_inspected(inspected);
                let bytes = frame(from, kind, len).repeat(count);
                group.throughput(match count {
                    1 => Throughput::Bytes(len as u64),
                    count => Throughput::Elements(count as u64),
                });
                let id = BenchmarkId::new(format!("{kind:?} from {from:?}"), len);
                group.bench_function(id, |b| time_relay(b, &mut direction, look, &bytes));
            }
        }
        group.finish();
    }
}

/// What takes another way than frames that go on as they came.
fn exceptions(c: &mut Criterion) {
    let hooks: [(&str, Hook); 2] = [("that replaces", replace), ("that drops", leave_out)];
    for (name, hook) in hooks {
        let mut group = c.benchmark_group(format!("relay with a hook {name}"));
        group.throughput(Throughput::Elements(BATCH as u64));
        for from in Side::BOTH {
            let mut direction = Direction::new(from, rules(), SEED, [0; 8]);
            let bytes = frame(from, Kind::Binary, SMALL).repeat(BATCH);
            let id = BenchmarkId::new(format!("Binary from {from:?}"), SMALL);
            group.bench_function(id, |b| time_relay(b, &mut direction, hook, &bytes));
        }
        group.finish();
    }
}

fn quick() -> Criterion {
    let second = Duration::from_secs(1);
    Criterion::default().warm_up_time(second / 4).measurement_time(second).sample_size(30)
}

criterion_group!(name = engine; config = quick(); targets = decoding, masking, text, relaying, exceptions);
criterion_main!(engine);
