//! Linked lists.

nt_struct! {
    /// Head or member of a circular doubly linked list; an empty head points to itself.
    struct LIST_ENTRY: 0x10 {
        0x00 Flink: *mut LIST_ENTRY,
        0x08 Blink: *mut LIST_ENTRY,
    }
    /// Head or member of a singly linked list.
    struct SINGLE_LIST_ENTRY: 0x08 {
        0x00 Next: *mut SINGLE_LIST_ENTRY,
    }
    /// Member of an interlocked list; must be 16-byte aligned.
    #[repr(align(16))]
    struct SLIST_ENTRY: 0x10 {
        0x00 Next: *mut SLIST_ENTRY,
    }
    /// Head of an interlocked list: depth (16 bits) and sequence (48), then the first entry's address
    /// with 4 low bits of the kernel's own.
    #[repr(align(16))]
    struct SLIST_HEADER: 0x10 {
        0x00 Alignment: u64,
        0x08 Region: u64,
    }
}
