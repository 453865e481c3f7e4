//! The tables on a real asymmetric fence and real threads: what shuttle cannot see.
#![cfg(all(target_os = "linux", not(miri)))]

#[path = "support/linux.rs"]
mod linux;

use linux::Linux;
use notify::{Capacity, Domain, ImageFlavour, ImageTable, Request, Walker};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

const ROUTINES: usize = 8;

/// What a routine of a careful driver uses, and its driver frees after the removal.
#[derive(Default)]
struct Resource {
    alive: AtomicBool,
    running: AtomicUsize,
}

#[test]
fn removals_and_events_on_real_fences() {
    let Some(platform) = Linux::new() else { return };
    let domain = Domain::new(platform);
    let table = ImageTable::new(&domain, Capacity::SIXTY_FOUR);
    let resources: [Resource; ROUTINES] = Default::default();
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let walker = Walker::new(&domain);
                while !stop.load(Ordering::Relaxed) {
                    table.walk(&walker, |found| {
                        let resource = &resources[found.routine];
                        resource.running.fetch_add(1, Ordering::Relaxed);
                        assert!(
                            resource.alive.load(Ordering::Relaxed),
                            "R-RM-01: called after its removal returned"
                        );
                        calls.fetch_add(1, Ordering::Relaxed);
                        resource.running.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            });
        }
        let drivers: Vec<_> = (0..2)
            .map(|driver| {
                let (table, domain, resources) = (&table, &domain, &resources);
                scope.spawn(move || {
                    let walker = Walker::new(domain);
                    for round in 0..4000 {
                        let routine = driver * ROUTINES / 2 + round % (ROUTINES / 2);
                        let resource = &resources[routine];
                        resource.alive.store(true, Ordering::Relaxed);
                        let request = Request { routine, flavour: ImageFlavour::Plain, flags: 0, owner: 0 };
                        table.register(request).unwrap();
                        if round % 3 == 0 {
                            std::thread::yield_now();
                        }
                        table.remove(&walker, routine).unwrap();
                        assert_eq!(
                            resource.running.load(Ordering::Relaxed),
                            0,
                            "R-RM-01: returned during a call"
                        );
                        resource.alive.store(false, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // Also when one of them failed: the walkers must end for the scope to report it.
        let failed = drivers.into_iter().map(|driver| driver.join()).filter(Result::is_err).count();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
    });
    assert!(calls.into_inner() > 0, "nothing was called: the test tested nothing");
    assert!(table.is_empty());
}
