//! Registrations are freed: not early (Miri and the other tests would see that) and not never.

use notify::platform::Portable;
use notify::{Capacity, Domain, ImageFlavour, ImageTable, RemoveError, Request, Walker};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// What the thread has allocated and not freed: the test's own, as whoever runs it allocates beside it.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn live() -> isize {
    LIVE.get()
}

// SAFETY: every request is passed on unchanged to the system allocator; counting does not touch memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(live() + 1);
        // SAFETY: the caller's promises are the same ones that the system allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.set(live() - 1);
        // SAFETY: `memory` came from `alloc` above with this layout, thus from the system allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn image(routine: usize) -> Request<ImageFlavour> {
    Request { routine, flavour: ImageFlavour::Plain, flags: 0, owner: 1 }
}

/// How many allocations `work` left behind, after a first run that may fill caches.
fn left_behind(mut work: impl FnMut()) -> isize {
    work();
    let before = live();
    for _ in 0..10 {
        work();
    }
    live() - before
}

#[test]
fn nothing_is_left_behind_and_walks_do_not_allocate() {
    let domain = Domain::new(Portable);
    let table = ImageTable::new(&domain, Capacity::SIXTY_FOUR);
    let walker = Walker::new(&domain);

    let kept = left_behind(|| {
        for routine in 1..=64 {
            table.register(image(routine)).unwrap();
        }
        for routine in 1..=64 {
            table.remove(&walker, routine).unwrap();
        }
    });
    assert_eq!(kept, 0, "registrations outlive their removal");

    let kept = left_behind(|| {
        table.register(image(1)).unwrap();
        table.walk(&walker, |_| assert!(matches!(table.remove(&walker, 1), Err(RemoveError::Deadlock(_)))));
        // Let go of when the next removal looks, as the call that held it has returned.
        table.register(image(2)).unwrap();
        table.remove(&walker, 2).unwrap();
    });
    assert_eq!(kept, 0, "registrations of refused removals are never let go of");

    let kept = left_behind(|| drop(Walker::new(&domain)));
    assert_eq!(kept, 0, "walkers stay on the roster");

    table.register(image(1)).unwrap();
    let before = live();
    table.walk(&walker, |_| table.walk(&walker, |_| assert_eq!(live(), before)));

    let kept = left_behind(|| {
        let domain = Domain::new(Portable);
        let table = ImageTable::new(&domain, Capacity::EIGHT);
        let walker = Walker::new(&domain);
        table.register(image(1)).unwrap();
        table.walk(&walker, |_| drop(table.remove(&walker, 1)));
        table.register(image(2)).unwrap();
    });
    assert_eq!(kept, 0, "a table that is dropped full, or after a refused removal, keeps memory");
}
