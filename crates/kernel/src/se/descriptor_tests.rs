//! Security descriptors in both forms.

use super::*;
use crate::se::acl::{RtlAddAccessAllowedAce, RtlCreateAcl};
use crate::se::sid::known;

#[test]
fn a_descriptor_goes_from_one_form_to_the_other_and_back() {
    let mut memory = [0u32; 16];
    let acl: *mut ACL = memory.as_mut_ptr().cast();
    let mut absolute = SECURITY_DESCRIPTOR::default();
    let at = &raw mut absolute;
    // SAFETY: memory of the test.
    unsafe {
        RtlCreateAcl(acl, 64, 2);
        RtlAddAccessAllowedAce(acl, 2, 7, known::SYSTEM.as_ptr());
        assert_eq!(RtlCreateSecurityDescriptor(at, 2), STATUS_UNKNOWN_REVISION);
        assert_eq!(RtlCreateSecurityDescriptor(at, 1), STATUS_SUCCESS);
        assert_eq!(RtlLengthSecurityDescriptor(at), 40);
        assert_eq!(RtlSetDaclSecurityDescriptor(at, 1, acl, 0), STATUS_SUCCESS);
        assert_eq!(RtlSetOwnerSecurityDescriptor(at, known::ADMINISTRATORS.as_ptr(), 0), STATUS_SUCCESS);
        assert_eq!((RtlValidSecurityDescriptor(at), RtlLengthSecurityDescriptor(at)), (1, 40 + 64 + 16));
        let (mut bytes, mut length) = ([0u64; 20], 8);
        let relative: *mut u8 = bytes.as_mut_ptr().cast();
        assert_eq!(RtlAbsoluteToSelfRelativeSD(at, relative, &raw mut length), STATUS_BUFFER_TOO_SMALL);
        assert_eq!(length, 20 + 64 + 16);
        assert_eq!(RtlAbsoluteToSelfRelativeSD(at, relative, &raw mut length), STATUS_SUCCESS);
        let flat: *mut SECURITY_DESCRIPTOR = relative.cast();
        assert_eq!(
            (RtlValidRelativeSecurityDescriptor(flat, length, 5), RtlLengthSecurityDescriptor(flat)),
            (1, length)
        );
        assert_eq!(RtlValidRelativeSecurityDescriptor(flat, length, 2), 0);
        assert_eq!(RtlValidRelativeSecurityDescriptor(flat, length - 1, 0), 0);
        assert_eq!(RtlSetDaclSecurityDescriptor(flat, 0, null_mut(), 0), STATUS_INVALID_SECURITY_DESCR);
        let (mut present, mut defaulted, mut dacl) = (0, 9, null_mut());
        RtlGetDaclSecurityDescriptor(flat, &raw mut present, &raw mut dacl, &raw mut defaulted);
        assert_eq!((present, defaulted, (*dacl).AceCount), (1, 0, 1));
        let mut owner = null_mut();
        RtlGetOwnerSecurityDescriptor(flat, &raw mut owner, &raw mut defaulted);
        assert_eq!(Sid::read(owner), Some(known::ADMINISTRATORS));
        let mut back = SECURITY_DESCRIPTOR::default();
        let (mut buffers, mut sizes) = ([[0u64; 8]; 4], [40u32, 64, 64, 64, 64]);
        let [b0, b1, b2, b3] = &mut buffers;
        let [s0, s1, s2, s3, s4] = &mut sizes;
        let to = |buffer: &mut [u64; 8]| buffer.as_mut_ptr().cast::<u8>();
        let status = RtlSelfRelativeToAbsoluteSD(
            flat,
            &raw mut back,
            s0,
            to(b0),
            s1,
            to(b1),
            s2,
            to(b2),
            s3,
            to(b3),
            s4,
        );
        assert_eq!(status, STATUS_SUCCESS);
        assert_eq!(
            (Sid::read(back.Owner), back.Group, (*back.Dacl).AceCount),
            (Some(known::ADMINISTRATORS), null_mut(), 1)
        );
    }
}
