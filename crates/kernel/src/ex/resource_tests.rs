//! Executive resources, with real threads.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use event::StopKind;
use nt_abi::{ERESOURCE, ResourceOwnedExclusive};

use super::resource::*;
use crate::Config;
use crate::ke::region::{KeEnterCriticalRegion, KeLeaveCriticalRegion};
use crate::testing::{on_another_processor, stops, with_kernel};

fn resource() -> *mut ERESOURCE {
    let resource = Box::leak(Box::default());
    // SAFETY: fresh memory.
    unsafe { ExInitializeResourceLite(resource) };
    resource
}

#[test]
fn a_resource_is_recursive_and_shows_its_owner() {
    with_kernel(Config::default(), |_, records| {
        let resource = resource();
        // SAFETY: initialized.
        unsafe {
            KeEnterCriticalRegion();
            assert_eq!(ExAcquireResourceExclusiveLite(resource, 0), 1);
            assert_eq!(ExAcquireResourceSharedLite(resource, 0), 1, "by its exclusive owner");
            assert_eq!(ExIsResourceAcquiredExclusiveLite(resource), 1);
            assert_eq!(ExIsResourceAcquiredSharedLite(resource), 2);
            assert_eq!(((*resource).ActiveCount, (*resource).Flag), (1, ResourceOwnedExclusive));
            assert_eq!((*resource).OwnerEntry.OwnerThread, machine::current_thread().addr());
            ExReleaseResourceLite(resource);
            ExConvertExclusiveToSharedLite(resource);
            assert_eq!((ExIsResourceAcquiredExclusiveLite(resource), (*resource).Flag), (0, 0));
            ExReleaseResourceLite(resource);
            assert_eq!((*resource).ActiveCount, 0);
            KeLeaveCriticalRegion();
            ExDeleteResourceLite(resource);
        }
        assert!(records.findings().is_empty());
    });
}

#[test]
fn l_12_acquiring_with_apcs_enabled_is_a_finding() {
    with_kernel(Config::default(), |_, records| {
        let resource = resource();
        // SAFETY: initialized.
        unsafe {
            ExAcquireResourceSharedLite(resource, 1);
            ExReleaseResourceLite(resource);
        }
        assert_eq!(records.findings(), ["L-12", "L-12"]);
        // SAFETY: as above.
        unsafe {
            ExEnterCriticalRegionAndAcquireResourceExclusive(resource);
            ExReleaseResourceAndLeaveCriticalRegion(resource);
        }
        assert_eq!(records.findings().len(), 2);
    });
}

#[test]
fn writers_come_before_readers_who_come_later_except_starving_ones() {
    static RESOURCE: AtomicUsize = AtomicUsize::new(0);
    static WROTE: AtomicU32 = AtomicU32::new(0);
    fn at() -> *mut ERESOURCE {
        std::ptr::with_exposed_provenance_mut(RESOURCE.load(Ordering::SeqCst))
    }
    with_kernel(Config::default(), |kernel, records| {
        RESOURCE.store(resource().expose_provenance(), Ordering::SeqCst);
        // SAFETY: initialized.
        unsafe {
            ExEnterCriticalRegionAndAcquireResourceShared(at());
            let writer = on_another_processor(kernel, || {
                ExEnterCriticalRegionAndAcquireResourceExclusive(at());
                WROTE.store(1, Ordering::SeqCst);
                ExReleaseResourceAndLeaveCriticalRegion(at());
            });
            while ExGetExclusiveWaiterCount(at()) == 0 {
                std::thread::yield_now();
            }
            let reader = on_another_processor(kernel, || {
                KeEnterCriticalRegion();
                assert_eq!(ExAcquireResourceSharedLite(at(), 0), 0, "a writer waits");
                assert_eq!(ExAcquireSharedStarveExclusive(at(), 0), 1);
                ExReleaseResourceLite(at());
                KeLeaveCriticalRegion();
            });
            reader.join().unwrap();
            assert_eq!(ExAcquireResourceSharedLite(at(), 0), 1, "who has it shared gets it again");
            ExReleaseResourceLite(at());
            assert_eq!(WROTE.load(Ordering::SeqCst), 0);
            ExReleaseResourceAndLeaveCriticalRegion(at());
            writer.join().unwrap();
            assert_eq!((*at()).ActiveCount, 0);
            assert!((*at()).ContentionCount > 0);
        }
        assert!(records.findings().is_empty());
    });
}

#[test]
fn releasing_what_is_not_owned_and_waiting_for_oneself_stop() {
    with_kernel(Config::default(), |_, records| {
        let resource = resource();
        let stop = stops(records, || {
            // SAFETY: initialized.
            unsafe { ExReleaseResourceLite(resource) };
        });
        assert_eq!(stop.code, 0xE3);
        let stop = stops(records, || {
            // SAFETY: initialized.
            unsafe {
                ExAcquireResourceSharedLite(resource, 1);
                ExAcquireResourceExclusiveLite(resource, 1);
            }
        });
        assert_eq!(stop.kind, StopKind::Hang);
    });
}
