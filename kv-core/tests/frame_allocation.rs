//! What a hostile frame can make a decoder allocate is bounded by the frame's own length, whatever lengths stand in it.

#![allow(clippy::unwrap_used, reason = "a helper that fails ends its test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kv_core::causality::Stamp;
use kv_core::codec::{LIST_ITEMS_MAX, put_varint};
use kv_core::ids::{ClusterId, Incarnation, TraceId};
use kv_core::wire::{
    Answer, AnswerBody, Header, Request, RequestBody, decode_answer, decode_request, encode_answer,
    encode_request,
};

/// Counts what this thread holds and has held at most.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    let held = HELD.get().saturating_add(bytes);
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

fn gave_back(bytes: usize) {
    HELD.set(HELD.get().saturating_sub(bytes));
}

// SAFETY: every call is handed to the system's allocator as it came; the counters never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promises are those of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave_back(layout.size());
        // SAFETY: the caller's promises are those of `System.dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that `run` held at most, beyond what was held before.
fn most_held<T>(run: impl FnOnce() -> T) -> usize {
    let before = HELD.get();
    MOST.set(before);
    drop(run());
    MOST.get() - before
}

fn header() -> Header {
    Header {
        cluster: ClusterId(1),
        layout: 1,
        incarnation: Incarnation(1),
        clock: Stamp(1),
        buckets: 1,
        trace: TraceId(1),
    }
}

/// A frame of that variant whose body begins with `front` and goes on with `length` bytes of `fill`.
fn frame(mut empty: Vec<u8>, variant: u8, front: &[u8], fill: &[u8], length: usize) -> Vec<u8> {
    *empty.last_mut().unwrap() = variant;
    empty.extend_from_slice(front);
    empty.extend(fill.iter().cycle().take(length));
    empty
}

fn request(variant: u8, front: &[u8], fill: &[u8], length: usize) -> Vec<u8> {
    let empty = encode_request(&Request { header: header(), body: RequestBody::Cluster });
    frame(empty.to_vec(), variant, front, fill, length)
}

fn answer(variant: u8, front: &[u8], fill: &[u8], length: usize) -> Vec<u8> {
    let empty = encode_answer(&Answer { header: header(), body: AnswerBody::Done });
    frame(empty.to_vec(), variant, front, fill, length)
}

fn varint(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, number);
    bytes
}

#[test]
fn a_length_that_nothing_follows_allocates_next_to_nothing() {
    for length in [u64::from(u32::MAX), 1 << 40, u64::MAX] {
        for front in [varint(length), [vec![1, b'b'], varint(length)].concat()] {
            for variant in 0..16 {
                for fill in [&[0u8][..], &[1], &[0xff]] {
                    let frames = (request(variant, &front, fill, 40), answer(variant, &front, fill, 40));
                    let most =
                        most_held(|| decode_request(&frames.0)).max(most_held(|| decode_answer(&frames.1)));
                    // serde begins a list with at most 1 MiB, and lists nest four deep.
                    assert!(most <= 4 << 20, "variant {variant}, length {length}: {most} bytes");
                }
            }
        }
    }
}

#[test]
fn a_list_of_short_items_allocates_a_bounded_multiple_of_the_frame() {
    let bucket = [1, b'b'];
    for items in [LIST_ITEMS_MAX, LIST_ITEMS_MAX + 1, 1 << 20] {
        for variant in 0..16u8 {
            for fill in [&[0u8][..], &[1], &[1, 0], &[1, 1, 0], &[1, b'k', 0, 0], &[0, 0, 1, b'k', 0]] {
                for front in [varint(items as u64), [&bucket[..], &varint(items as u64)].concat()] {
                    let bytes = items * fill.len();
                    for frame in [request(variant, &front, fill, bytes), answer(variant, &front, fill, bytes)]
                    {
                        let most =
                            most_held(|| decode_request(&frame)).max(most_held(|| decode_answer(&frame)));
                        // Without a bound on the items, a list of one-byte items takes a hundred times its bytes.
                        let bound = (24 << 20) + 4 * frame.len();
                        assert!(most <= bound, "variant {variant}, {items} of {fill:?}: {most} bytes");
                    }
                }
            }
        }
    }
}
