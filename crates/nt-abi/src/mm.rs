//! Memory: pool, pages, sections.

use crate::types::PVOID;

/// The pool of `ExAllocatePoolWithTag`.
pub type POOL_TYPE = u32;
nt_consts! { "`POOL_TYPE`", POOL_TYPE, fn pool_type_name;
    NonPagedPool = 0,
    PagedPool = 1,
    NonPagedPoolMustSucceed = 2,
    NonPagedPoolCacheAligned = 4,
    PagedPoolCacheAligned = 5,
    NonPagedPoolCacheAlignedMustS = 6,
    NonPagedPoolSession = 32,
    PagedPoolSession = 33,
    NonPagedPoolNx = 512,
    NonPagedPoolNxCacheAligned = 516,
    NonPagedPoolSessionNx = 544,
}
/// The same value as [`NonPagedPool`].
pub const NonPagedPoolExecute: POOL_TYPE = NonPagedPool;

nt_consts! { "Bit of a `POOL_TYPE`", POOL_TYPE;
    /// Set for paged pool.
    BASE_POOL_TYPE_MASK = 1,
    POOL_COLD_ALLOCATION = 256,
    POOL_NX_ALLOCATION = 512,
    POOL_ZERO_ALLOCATION = 1024,
    POOL_QUOTA_FAIL_INSTEAD_OF_RAISE = 8,
    POOL_RAISE_IF_ALLOCATION_FAILURE = 16,
}

/// Flags of `ExAllocatePool2`.
pub type POOL_FLAGS = u64;
nt_consts! { "`POOL_FLAGS`", POOL_FLAGS;
    POOL_FLAG_USE_QUOTA = 0x1,
    /// The memory is not zeroed.
    POOL_FLAG_UNINITIALIZED = 0x2,
    POOL_FLAG_SESSION = 0x4,
    POOL_FLAG_CACHE_ALIGNED = 0x8,
    POOL_FLAG_RESERVED1 = 0x10,
    /// Failure is an exception instead of null.
    POOL_FLAG_RAISE_ON_FAILURE = 0x20,
    POOL_FLAG_NON_PAGED = 0x40,
    POOL_FLAG_NON_PAGED_EXECUTE = 0x80,
    POOL_FLAG_PAGED = 0x100,
    POOL_FLAG_RESERVED2 = 0x200,
    POOL_FLAG_RESERVED3 = 0x400,
    POOL_FLAG_SPECIAL_POOL = 0x1_0000_0000,
}

nt_consts! { "Page protection", u32;
    PAGE_NOACCESS = 0x01,
    PAGE_READONLY = 0x02,
    PAGE_READWRITE = 0x04,
    PAGE_WRITECOPY = 0x08,
    PAGE_EXECUTE = 0x10,
    PAGE_EXECUTE_READ = 0x20,
    PAGE_EXECUTE_READWRITE = 0x40,
    PAGE_EXECUTE_WRITECOPY = 0x80,
    PAGE_GUARD = 0x100,
    PAGE_NOCACHE = 0x200,
    PAGE_WRITECOMBINE = 0x400,
}

nt_consts! { "Allocation, freeing, state or type of memory", u32;
    MEM_COMMIT = 0x1000,
    MEM_RESERVE = 0x2000,
    MEM_DECOMMIT = 0x4000,
    MEM_RELEASE = 0x8000,
    MEM_FREE = 0x1_0000,
    MEM_PRIVATE = 0x2_0000,
    MEM_MAPPED = 0x4_0000,
    MEM_RESET = 0x8_0000,
    MEM_TOP_DOWN = 0x10_0000,
    MEM_IMAGE = 0x100_0000,
    MEM_LARGE_PAGES = 0x2000_0000,
}

nt_consts! { "Section attribute (SEMANTICS G.2)", u32;
    SEC_FILE = 0x80_0000,
    SEC_IMAGE = 0x100_0000,
    SEC_PROTECTED_IMAGE = 0x200_0000,
    SEC_RESERVE = 0x400_0000,
    SEC_COMMIT = 0x800_0000,
    SEC_NOCACHE = 0x1000_0000,
    SEC_IMAGE_NO_EXECUTE = 0x1100_0000,
    SEC_WRITECOMBINE = 0x4000_0000,
    SEC_LARGE_PAGES = 0x8000_0000,
}

nt_consts! { "Right to a section", u32;
    SECTION_QUERY = 0x1,
    SECTION_MAP_WRITE = 0x2,
    SECTION_MAP_READ = 0x4,
    SECTION_MAP_EXECUTE = 0x8,
    SECTION_EXTEND_SIZE = 0x10,
    SECTION_MAP_EXECUTE_EXPLICIT = 0x20,
    SECTION_ALL_ACCESS = 0xF_001F,
}

nt_consts! { "`SECTION_INHERIT`", u32;
    ViewShare = 1,
    ViewUnmap = 2,
}

nt_consts! { "`MEMORY_CACHING_TYPE`", u32;
    MmNonCached = 0,
    MmCached = 1,
    MmWriteCombined = 2,
}

nt_consts! { "Priority of a mapping, with its flag bits", u32;
    LowPagePriority = 0,
    NormalPagePriority = 16,
    HighPagePriority = 32,
    MdlMappingNoWrite = 0x8000_0000,
    MdlMappingNoExecute = 0x4000_0000,
}

nt_consts! { "Flag of `MmCopyMemory`", u32;
    MM_COPY_MEMORY_PHYSICAL = 1,
    MM_COPY_MEMORY_VIRTUAL = 2,
}

nt_consts! { "`MEMORY_INFORMATION_CLASS`", u32, fn memory_information_class_name;
    MemoryBasicInformation = 0,
    MemoryWorkingSetInformation = 1,
    MemoryMappedFilenameInformation = 2,
    MemoryRegionInformation = 3,
    MemoryWorkingSetExInformation = 4,
    MemoryImageInformation = 6,
}

nt_consts! { "Bytes, a constant of x64", usize;
    PAGE_SIZE = 0x1000,
    ALLOCATION_GRANULARITY = 0x1_0000,
    MEMORY_ALLOCATION_ALIGNMENT = 16,
    SYSTEM_CACHE_ALIGNMENT_SIZE = 64,
}
/// Log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

nt_consts! { "Limit of the address space since Windows 8.1 (before: `Profile::user_probe_address`)", usize;
    /// `MmUserProbeAddress`: user addresses are below.
    MM_USER_PROBE_ADDRESS = 0x7FFF_FFFF_0000,
    /// `MmHighestUserAddress`.
    MM_HIGHEST_USER_ADDRESS = 0x7FFF_FFFE_FFFF,
    /// `MmSystemRangeStart`.
    MM_SYSTEM_RANGE_START = 0xFFFF_8000_0000_0000,
}

nt_struct! {
    /// `MemoryBasicInformation`.
    struct MEMORY_BASIC_INFORMATION: 0x30 {
        0x00 BaseAddress: PVOID,
        0x08 AllocationBase: PVOID,
        0x10 AllocationProtect: u32,
        0x14 PartitionId: u16,
        0x18 RegionSize: usize,
        0x20 State: u32,
        0x24 Protect: u32,
        0x28 Type: u32,
    }
    /// Where `MmCopyMemory` reads: a virtual or a physical address.
    union MM_COPY_ADDRESS: 0x08 {
        0x00 VirtualAddress: PVOID,
        0x00 PhysicalAddress: i64,
    }
    /// A physical range.
    struct PHYSICAL_MEMORY_RANGE: 0x10 {
        0x00 BaseAddress: i64,
        0x08 NumberOfBytes: i64,
    }
}
