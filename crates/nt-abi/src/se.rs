//! Security: ids, tokens, descriptors, signing levels.

use crate::types::{ACCESS_MASK, PVOID};

nt_struct! {
    /// A locally unique id.
    struct LUID: 0x08 {
        0x00 LowPart: u32,
        0x04 HighPart: i32,
    }
    /// A privilege and whether it is enabled.
    struct LUID_AND_ATTRIBUTES: 0x0C {
        0x00 Luid: LUID,
        0x08 Attributes: u32,
    }
    /// Privileges of a check.
    struct PRIVILEGE_SET: 0x14 {
        0x00 PrivilegeCount: u32,
        0x04 Control: u32,
        0x08 Privilege: [LUID_AND_ATTRIBUTES; 1],
    }
    /// The top authority of a [`SID`], big-endian.
    struct SID_IDENTIFIER_AUTHORITY: 0x06 {
        0x00 Value: [u8; 6],
    }
    /// A security id; `SubAuthorityCount` sub-authorities.
    struct SID: 0x0C {
        0x00 Revision: u8,
        0x01 SubAuthorityCount: u8,
        0x02 IdentifierAuthority: SID_IDENTIFIER_AUTHORITY,
        0x08 SubAuthority: [u32; 1],
    }
    /// A SID in a token.
    struct SID_AND_ATTRIBUTES: 0x10 {
        0x00 Sid: *mut SID,
        0x08 Attributes: u32,
    }
    /// `TokenUser`; the SID follows.
    struct TOKEN_USER: 0x10 {
        0x00 User: SID_AND_ATTRIBUTES,
    }
    /// `TokenIntegrityLevel`; the SID follows.
    struct TOKEN_MANDATORY_LABEL: 0x10 {
        0x00 Label: SID_AND_ATTRIBUTES,
    }
    /// `TokenOwner`; the SID follows.
    struct TOKEN_OWNER: 0x08 {
        0x00 Owner: *mut SID,
    }
    /// `TokenElevation`.
    struct TOKEN_ELEVATION: 0x04 {
        0x00 TokenIsElevated: u32,
    }
    /// `TokenSource`.
    struct TOKEN_SOURCE: 0x10 {
        0x00 SourceName: [u8; 8],
        0x08 SourceIdentifier: LUID,
    }
    /// `TokenStatistics`.
    struct TOKEN_STATISTICS: 0x38 {
        0x00 TokenId: LUID,
        0x08 AuthenticationId: LUID,
        0x10 ExpirationTime: i64,
        0x18 TokenType: u32,
        0x1C ImpersonationLevel: u32,
        0x20 DynamicCharged: u32,
        0x24 DynamicAvailable: u32,
        0x28 GroupCount: u32,
        0x2C PrivilegeCount: u32,
        0x30 ModifiedId: LUID,
    }
    /// An access control list; its entries follow.
    struct ACL: 0x08 {
        0x00 AclRevision: u8,
        0x01 Sbz1: u8,
        /// Bytes with all entries.
        0x02 AclSize: u16,
        0x04 AceCount: u16,
        0x06 Sbz2: u16,
    }
    /// What every entry of an [`ACL`] begins with.
    struct ACE_HEADER: 0x04 {
        0x00 AceType: u8,
        0x01 AceFlags: u8,
        0x02 AceSize: u16,
    }
    /// Grants `Mask`; the SID begins at `SidStart`.
    struct ACCESS_ALLOWED_ACE: 0x0C {
        0x00 Header: ACE_HEADER,
        0x04 Mask: ACCESS_MASK,
        0x08 SidStart: u32,
    }
    /// A security descriptor in its absolute form.
    struct SECURITY_DESCRIPTOR: 0x28 {
        0x00 Revision: u8,
        0x01 Sbz1: u8,
        0x02 Control: u16,
        0x08 Owner: *mut SID,
        0x10 Group: *mut SID,
        0x18 Sacl: *mut ACL,
        0x20 Dacl: *mut ACL,
    }
    /// A security descriptor in its self-relative form: offsets from its start, 0 for none.
    struct SECURITY_DESCRIPTOR_RELATIVE: 0x14 {
        0x00 Revision: u8,
        0x01 Sbz1: u8,
        0x02 Control: u16,
        0x04 Owner: u32,
        0x08 Group: u32,
        0x0C Sacl: u32,
        0x10 Dacl: u32,
    }
    /// The tokens that access is checked against, while captured.
    struct SECURITY_SUBJECT_CONTEXT: 0x20 {
        0x00 ClientToken: PVOID,
        0x08 ImpersonationLevel: u32,
        0x10 PrimaryToken: PVOID,
        0x18 ProcessAuditId: PVOID,
    }
    /// How a server may act for a client.
    struct SECURITY_QUALITY_OF_SERVICE: 0x0C {
        0x00 Length: u32,
        0x04 ImpersonationLevel: u32,
        0x08 ContextTrackingMode: u8,
        0x09 EffectiveOnly: u8,
    }
    /// What generic rights mean for a type.
    struct GENERIC_MAPPING: 0x10 {
        0x00 GenericRead: ACCESS_MASK,
        0x04 GenericWrite: ACCESS_MASK,
        0x08 GenericExecute: ACCESS_MASK,
        0x0C GenericAll: ACCESS_MASK,
    }
    /// `SeLocateProcessImageName` by its audit form: the name follows.
    struct SE_AUDIT_PROCESS_CREATION_INFO: 0x08 {
        0x00 ImageFileName: *mut crate::OBJECT_NAME_INFORMATION,
    }
}

nt_consts! { "`TOKEN_INFORMATION_CLASS`", u32, fn token_information_class_name;
    TokenUser = 1,
    TokenGroups = 2,
    TokenPrivileges = 3,
    TokenOwner = 4,
    TokenPrimaryGroup = 5,
    TokenDefaultDacl = 6,
    TokenSource = 7,
    TokenType = 8,
    TokenImpersonationLevel = 9,
    TokenStatistics = 10,
    TokenRestrictedSids = 11,
    TokenSessionId = 12,
    TokenSandBoxInert = 15,
    TokenOrigin = 17,
    TokenElevationType = 18,
    TokenLinkedToken = 19,
    TokenElevation = 20,
    TokenVirtualizationAllowed = 23,
    TokenVirtualizationEnabled = 24,
    TokenIntegrityLevel = 25,
    TokenUIAccess = 26,
    TokenMandatoryPolicy = 27,
    TokenLogonSid = 28,
    TokenIsAppContainer = 29,
    TokenAppContainerSid = 31,
}

nt_consts! { "`TOKEN_TYPE`", u32;
    TokenPrimary = 1,
    TokenImpersonation = 2,
}

nt_consts! { "`SECURITY_IMPERSONATION_LEVEL`", u32;
    SecurityAnonymous = 0,
    SecurityIdentification = 1,
    SecurityImpersonation = 2,
    SecurityDelegation = 3,
}

nt_consts! { "Right to a token", u32;
    TOKEN_ASSIGN_PRIMARY = 0x1,
    TOKEN_DUPLICATE = 0x2,
    TOKEN_IMPERSONATE = 0x4,
    TOKEN_QUERY = 0x8,
    TOKEN_QUERY_SOURCE = 0x10,
    TOKEN_ADJUST_PRIVILEGES = 0x20,
    TOKEN_ADJUST_GROUPS = 0x40,
    TOKEN_ADJUST_DEFAULT = 0x80,
    TOKEN_ADJUST_SESSIONID = 0x100,
    TOKEN_ALL_ACCESS = 0xF_01FF,
}

nt_consts! { "Control bit of a security descriptor", u16;
    SE_OWNER_DEFAULTED = 0x1,
    SE_GROUP_DEFAULTED = 0x2,
    SE_DACL_PRESENT = 0x4,
    SE_DACL_DEFAULTED = 0x8,
    SE_SACL_PRESENT = 0x10,
    SE_SACL_DEFAULTED = 0x20,
    SE_DACL_PROTECTED = 0x1000,
    SE_SELF_RELATIVE = 0x8000,
}

nt_consts! { "Part of a security descriptor (`SECURITY_INFORMATION`)", u32;
    OWNER_SECURITY_INFORMATION = 0x1,
    GROUP_SECURITY_INFORMATION = 0x2,
    DACL_SECURITY_INFORMATION = 0x4,
    SACL_SECURITY_INFORMATION = 0x8,
    LABEL_SECURITY_INFORMATION = 0x10,
}

nt_consts! { "Security revision or type byte", u8;
    SID_REVISION = 1,
    SID_MAX_SUB_AUTHORITIES = 15,
    ACL_REVISION = 2,
    SECURITY_DESCRIPTOR_REVISION = 1,
    ACCESS_ALLOWED_ACE_TYPE = 0,
    ACCESS_DENIED_ACE_TYPE = 1,
    SYSTEM_MANDATORY_LABEL_ACE_TYPE = 0x11,
}

nt_consts! { "Privilege (`LUID::LowPart`)", u32, fn privilege_name;
    SE_CREATE_TOKEN_PRIVILEGE = 2,
    SE_ASSIGNPRIMARYTOKEN_PRIVILEGE = 3,
    SE_LOCK_MEMORY_PRIVILEGE = 4,
    SE_INCREASE_QUOTA_PRIVILEGE = 5,
    SE_TCB_PRIVILEGE = 7,
    SE_SECURITY_PRIVILEGE = 8,
    SE_TAKE_OWNERSHIP_PRIVILEGE = 9,
    SE_LOAD_DRIVER_PRIVILEGE = 10,
    SE_BACKUP_PRIVILEGE = 17,
    SE_RESTORE_PRIVILEGE = 18,
    SE_SHUTDOWN_PRIVILEGE = 19,
    SE_DEBUG_PRIVILEGE = 20,
    SE_CHANGE_NOTIFY_PRIVILEGE = 23,
    SE_IMPERSONATE_PRIVILEGE = 29,
}

nt_consts! { "Last sub-authority of an integrity SID (S-1-16-…)", u32;
    SECURITY_MANDATORY_UNTRUSTED_RID = 0x0000,
    SECURITY_MANDATORY_LOW_RID = 0x1000,
    SECURITY_MANDATORY_MEDIUM_RID = 0x2000,
    SECURITY_MANDATORY_HIGH_RID = 0x3000,
    SECURITY_MANDATORY_SYSTEM_RID = 0x4000,
    SECURITY_MANDATORY_PROTECTED_PROCESS_RID = 0x5000,
}

nt_consts! { "`SE_SIGNING_LEVEL` (R-II-02)", u8, fn signing_level_name;
    SE_SIGNING_LEVEL_UNCHECKED = 0x0,
    SE_SIGNING_LEVEL_UNSIGNED = 0x1,
    SE_SIGNING_LEVEL_ENTERPRISE = 0x2,
    SE_SIGNING_LEVEL_DEVELOPER = 0x3,
    SE_SIGNING_LEVEL_AUTHENTICODE = 0x4,
    SE_SIGNING_LEVEL_CUSTOM_2 = 0x5,
    SE_SIGNING_LEVEL_STORE = 0x6,
    SE_SIGNING_LEVEL_ANTIMALWARE = 0x7,
    SE_SIGNING_LEVEL_MICROSOFT = 0x8,
    SE_SIGNING_LEVEL_CUSTOM_4 = 0x9,
    SE_SIGNING_LEVEL_CUSTOM_5 = 0xA,
    SE_SIGNING_LEVEL_DYNAMIC_CODEGEN = 0xB,
    SE_SIGNING_LEVEL_WINDOWS = 0xC,
    SE_SIGNING_LEVEL_CUSTOM_7 = 0xD,
    SE_SIGNING_LEVEL_WINDOWS_TCB = 0xE,
    SE_SIGNING_LEVEL_CUSTOM_6 = 0xF,
}

nt_consts! { "`SE_IMAGE_SIGNATURE_TYPE` (R-II-02)", u32, fn signature_type_name;
    SeImageSignatureNone = 0,
    SeImageSignatureEmbedded = 1,
    SeImageSignatureCache = 2,
    SeImageSignatureCatalogCached = 3,
    SeImageSignatureCatalogNotCached = 4,
    SeImageSignatureCatalogHint = 5,
    SeImageSignaturePackageCatalog = 6,
    SeImageSignaturePplMitigated = 7,
}
