//! Blocks by the matrix units of AMX. The language has no stable functions for their instructions, so they are
//! written out.

use super::Block;
use super::cells::{Cell, SIDE};
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _mm512_add_ps, _mm512_loadu_ps, _mm512_storeu_ps};
use std::sync::LazyLock;

/// Bytes of a row of a cell.
const ROW: usize = 64;

/// Rows and bytes of a row of each tile, as `ldtilecfg` reads them.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of 16 rows of 64 bytes.
static CONFIG: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

static AVAILABLE: LazyLock<bool> = LazyLock::new(|| in_processor() && permitted());

/// Whether the processor has it and the system lets this process use it.
pub(super) fn available() -> bool {
    *AVAILABLE
}

fn in_processor() -> bool {
    const TILES_OF_BF16: u32 = 1 << 24 | 1 << 22;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILES_OF_BF16 == TILES_OF_BF16
}

/// Asks the system to keep the tiles of this process's threads, which it does for no process unasked.
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and changes nothing but the permission.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

/// Shapes this thread's tiles.
///
/// # Safety
/// Where it is [`available`].
pub(super) unsafe fn configure() {
    // SAFETY: the configuration is one of 64 bytes; code that the compiler makes uses no tile.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, preserves_flags)) };
}

/// Clears them, so that the system need not keep them.
///
/// # Safety
/// Where it is [`available`].
pub(super) unsafe fn release() {
    // SAFETY: as in `configure`.
    unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
}

/// `out (+)= left right`. Tiles 0 to 3 hold the sums, 4 and 5 cells of the left side, 6 and 7 of the right one.
///
/// # Safety
/// Between [`configure`] and [`release`]; the output must be valid for `[32, 32]` values, and nobody else may touch
/// it meanwhile.
pub(super) unsafe fn multiply(block: &Block<'_>) {
    let stride = block.stride * size_of::<f32>();
    // A tile of sixteen times the same row loads slowly: the row is added to what is there in the end.
    let onto_row = block.start.is_some_and(|(_, apart)| apart == 0);
    let below = block.out.wrapping_add(16 * block.stride);
    let cells = block.left.iter().chain(&block.right).map(|cells| cells.len()).min().unwrap_or(0);
    // SAFETY: the caller's promise; all four hold as many cells as are read, of 16 rows of 64 bytes.
    unsafe {
        match block.start.filter(|_| !onto_row) {
            None => asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack, preserves_flags, nomem),
            ),
            Some((start, apart)) => asm!(
                "tileloadd tmm0, [{above} + {stride}]",
                "tileloadd tmm1, [{above} + {stride} + 64]",
                "tileloadd tmm2, [{below} + {stride}]",
                "tileloadd tmm3, [{below} + {stride} + 64]",
                above = in(reg) start,
                below = in(reg) start.wrapping_add(16 * apart),
                stride = in(reg) apart * size_of::<f32>(),
                options(nostack, preserves_flags, readonly),
            ),
        }
        asm!(
            "2:",
            "tileloadd tmm4, [{a} + {row}]",
            "tileloadd tmm6, [{c} + {row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{d} + {row}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{b} + {row}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, {cell}", "add {b}, {cell}", "add {c}, {cell}", "add {d}, {cell}",
            "dec {cells}",
            "jnz 2b",
            a = inout(reg) block.left[0].as_ptr() => _,
            b = inout(reg) block.left[1].as_ptr() => _,
            c = inout(reg) block.right[0].as_ptr() => _,
            d = inout(reg) block.right[1].as_ptr() => _,
            cells = inout(reg) cells => _,
            row = in(reg) ROW,
            cell = const size_of::<Cell>(),
            options(nostack, readonly),
        );
        asm!(
            "tilestored [{above} + {stride}], tmm0", "tilestored [{above} + {stride} + 64], tmm1",
            "tilestored [{below} + {stride}], tmm2", "tilestored [{below} + {stride} + 64], tmm3",
            above = in(reg) block.out, below = in(reg) below, stride = in(reg) stride,
            options(nostack, preserves_flags),
        );
        if let Some((row, 0)) = block.start {
            add_row(block, row);
        }
    }
}

/// Adds one row to all rows of the output.
///
/// # Safety
/// As [`multiply`]; the row must be valid for 32 values.
#[target_feature(enable = "avx512f")]
unsafe fn add_row(block: &Block<'_>, row: *const f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let row = [_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(SIDE))];
        for r in 0..2 * SIDE {
            for (half, row) in row.iter().enumerate() {
                let place = block.out.add(r * block.stride + half * SIDE);
                _mm512_storeu_ps(place, _mm512_add_ps(_mm512_loadu_ps(place), *row));
            }
        }
    }
}
