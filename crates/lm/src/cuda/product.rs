//! Matrix products by cuBLASLt.
//!
//! It counts columns first: a matrix here is its transpose there, so `out = x · weightᵀ` is
//! `outᵀ = weight · xᵀ`.
#![expect(unsafe_code, reason = "calls into cuBLASLt")]

use std::collections::BTreeMap;
use std::ffi::c_void;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;

use super::device::{DeviceError, Product};
use crate::Dtype;

/// Bytes that products may use between their steps; what NVIDIA recommends for Hopper.
pub(super) const WORKSPACE: usize = 32 << 20;
/// Every matrix begins at a multiple of this many bytes, since widths are multiples of 8.
const ALIGNMENT: u32 = 16;

use sys::cublasLtMatmulDescAttributes_t as Attribute;
use sys::cublasLtMatmulPreferenceAttributes_t as Preference;

/// How each shape of product is computed.
pub(super) struct Products {
    handle: sys::cublasLtHandle_t,
    dtype: Dtype,
    plans: BTreeMap<Product, Plan>,
}

// SAFETY: handles and descriptors may be used from any thread, one at a time, which `&mut` ensures.
unsafe impl Send for Products {}

impl Products {
    /// With the card's context current.
    pub(super) fn new(dtype: Dtype) -> Result<Self, DeviceError> {
        let handle = result::create_handle().map_err(failed)?;
        let plans = BTreeMap::new();
        Ok(Self {
            handle,
            dtype,
            plans,
        })
    }

    /// Asks for a product on `stream`.
    pub(super) fn multiply(
        &mut self,
        product: &Product,
        workspace: u64,
        stream: *mut c_void,
    ) -> Result<(), DeviceError> {
        let shape = shape(product);
        if !self.plans.contains_key(&shape) {
            let plan = Plan::new(self.handle, product, self.dtype).map_err(failed)?;
            self.plans.insert(shape, plan);
        }
        let plan = &self.plans[&shape];
        plan.run(self.handle, product, workspace, stream)
            .map_err(failed)
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        self.plans.clear();
        // SAFETY: made in `new`, used by nobody any more.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// A product without its addresses.
fn shape(product: &Product) -> Product {
    let mut shape = *product;
    for view in [&mut shape.x, &mut shape.weight, &mut shape.out] {
        view.address = 0;
    }
    shape.bias = product.bias.map(|_| 0);
    shape
}

fn failed(error: CublasError) -> DeviceError {
    DeviceError::Failed(format!("cuBLASLt: {error}"))
}

/// How one shape of product is computed.
struct Plan {
    description: sys::cublasLtMatmulDesc_t,
    /// Of the weight, of x, of the result.
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Plan {
    fn new(
        handle: sys::cublasLtHandle_t,
        product: &Product,
        dtype: Dtype,
    ) -> Result<Self, CublasError> {
        let kind = match dtype {
            Dtype::F32 => sys::cudaDataType::CUDA_R_32F,
            Dtype::Bf16 => sys::cudaDataType::CUDA_R_16BF,
            Dtype::F16 => sys::cudaDataType::CUDA_R_16F,
        };
        let out = if product.wide {
            sys::cudaDataType::CUDA_R_32F
        } else {
            kind
        };
        let layout = |kind, columns: usize, rows: usize, stride: usize| {
            result::create_matrix_layout(kind, columns as u64, rows as u64, stride as i64)
        };
        let layouts = [
            layout(kind, product.inner, product.width, product.weight.stride)?,
            layout(kind, product.inner, product.rows, product.x.stride)?,
            layout(out, product.width, product.rows, product.out.stride)?,
        ];
        let description = describe(product)?;
        let algorithm = choose(handle, description, layouts)?;
        Ok(Self {
            description,
            layouts,
            algorithm,
        })
    }

    fn run(
        &self,
        handle: sys::cublasLtHandle_t,
        product: &Product,
        workspace: u64,
        stream: *mut c_void,
    ) -> Result<(), CublasError> {
        if let Some(bias) = product.bias {
            set(
                self.description,
                Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                &bias,
            )?;
        }
        let (one, beta) = (1.0_f32, if product.add { 1.0_f32 } else { 0.0 });
        let at = |address: u64| address as *mut c_void;
        let [weight, x, out] = self.layouts;
        // SAFETY: handle, descriptors and algorithm belong together and live; the addresses are those
        // of memory on the card that is as large as the layouts say.
        unsafe {
            result::matmul(
                handle,
                self.description,
                (&raw const one).cast(),
                (&raw const beta).cast(),
                at(product.weight.address),
                weight,
                at(product.x.address),
                x,
                at(product.out.address),
                out,
                at(product.out.address),
                out,
                &raw const self.algorithm,
                at(workspace),
                WORKSPACE,
                stream.cast(),
            )
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: made in `new`, used by nobody any more.
        unsafe {
            let _ = result::destroy_matmul_desc(self.description);
            for layout in self.layouts {
                let _ = result::destroy_matrix_layout(layout);
            }
        }
    }
}

fn describe(product: &Product) -> Result<sys::cublasLtMatmulDesc_t, CublasError> {
    // Without TF32: f32 products are f32.
    let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
    let description = result::create_matmul_desc(compute, sys::cudaDataType::CUDA_R_32F)?;
    // CUBLAS_OP_T, which these bindings lack.
    let transposed = 1_i32;
    set(
        description,
        Attribute::CUBLASLT_MATMUL_DESC_TRANSA,
        &transposed,
    )?;
    if let Some(bias) = product.bias {
        let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
        set(
            description,
            Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE,
            &epilogue,
        )?;
        // Algorithms are chosen for a bias that is there; which one is said again at each product.
        set(
            description,
            Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER,
            &bias,
        )?;
    }
    Ok(description)
}

fn set<T>(
    description: sys::cublasLtMatmulDesc_t,
    attribute: Attribute,
    value: &T,
) -> Result<(), CublasError> {
    let place = (&raw const *value).cast();
    // SAFETY: the description lives; the value is of the attribute's type.
    unsafe { result::set_matmul_desc_attribute(description, attribute, place, size_of::<T>()) }
}

/// The algorithm that the library thinks is fastest.
fn choose(
    handle: sys::cublasLtHandle_t,
    description: sys::cublasLtMatmulDesc_t,
    [weight, x, out]: [sys::cublasLtMatrixLayout_t; 3],
) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
    let preference = result::create_matmul_pref()?;
    // SAFETY: the preference and the descriptors live; the values are of the attributes' types.
    unsafe {
        let prefer = |attribute, value: *const c_void, bytes| {
            result::set_matmul_pref_attribute(preference, attribute, value, bytes)
        };
        let (workspace, alignment) = (WORKSPACE, ALIGNMENT);
        let space = (&raw const workspace).cast();
        prefer(
            Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            space,
            8,
        )?;
        for attribute in [
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            prefer(attribute, (&raw const alignment).cast(), 4)?;
        }
        let found =
            result::get_matmul_algo_heuristic(handle, description, weight, x, out, out, preference);
        let _ = result::destroy_matmul_pref(preference);
        found.map(|found| found.algo)
    }
}
