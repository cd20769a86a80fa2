//! Which vector instructions a function is compiled for and runs with.

/// Instruction sets that the kernels are compiled for, besides the one that the build asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Baseline,
}

/// The widest that this machine has.
pub(super) fn detect() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f")
            && has!("avx512bw")
            && has!("avx512dq")
            && has!("avx512vl")
            && has!("fma")
        {
            return Isa::Avx512;
        }
        if has!("avx2") && has!("fma") {
            return Isa::Avx2;
        }
    }
    Isa::Baseline
}

/// The name of what [`detect`] finds.
pub(crate) fn isa() -> &'static str {
    match detect() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => "avx512",
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => "avx2",
        Isa::Baseline => std::env::consts::ARCH,
    }
}

/// Makes a function that runs `$body`, which must be `#[inline(always)]` with all it calls, compiled
/// for the widest instruction set of this machine.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? = $body:path) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $type),*) $(-> $ret)? { $body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $ret)? { $body($($arg),*) }
                #[expect(unsafe_code, reason = "calls code for instructions that were detected")]
                // SAFETY: the machine has the features that the function is compiled for.
                match $crate::kernels::isa::detect() {
                    $crate::kernels::isa::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    $crate::kernels::isa::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::kernels::isa::Isa::Baseline => {}
                }
            }
            $body($($arg),*)
        }
    };
}
pub(super) use dispatch;
