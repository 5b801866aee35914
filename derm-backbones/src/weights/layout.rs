use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor, TensorData};

use crate::module_path::ModulePath;
use crate::{Error, Naming, Published, PublishedKeys};

/// What folding leaves in a module; such a module has no published form.
const FOLDED: &str = "folded_bias";

/// One float parameter: its path, how it is published and its shape there (linear weights as [out, in]) before it
/// is cut into parts.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) published: Published,
    pub(super) shape: Vec<usize>,
    pub(super) transposed: bool,
}

/// All float parameters of a module, in its order.
#[derive(Debug, Clone)]
pub(super) struct Layout(pub(super) Vec<Entry>);

impl Layout {
    /// The module's parameters under the keys of `naming`.
    pub(super) fn of<M: Module + PublishedKeys>(module: &M, naming: Naming) -> Result<Self, Error> {
        let mut surveyor = Surveyor::default();
        module.visit(&mut surveyor);
        if let Some(path) = surveyor.unsupported {
            return Err(Error::Parameter { path });
        }
        let mut owners: HashMap<String, String> = HashMap::new();
        let mut entries = Vec::with_capacity(surveyor.parameters.len());
        for (path, shape, transposed) in surveyor.parameters {
            if path.rsplit('.').next() == Some(FOLDED) {
                return Err(Error::Folded { path });
            }
            let published = module.published(&path, naming);
            for key in published.keys() {
                if let Some(first) = owners.insert(key.clone(), path.clone()) {
                    return Err(Error::DuplicateKey { key: key.clone(), first, second: path });
                }
            }
            entries.push(Entry { path, published, shape, transposed });
        }
        Ok(Self(entries))
    }
}

#[derive(Default)]
struct Surveyor {
    path: ModulePath,
    parameters: Vec<(String, Vec<usize>, bool)>,
    unsupported: Option<String>,
}

impl ModuleVisitor for Surveyor {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut shape: Vec<usize> = param.lazy_shape().to_vec();
        let transposed = D == 2 && self.path.is_linear_weight();
        if transposed {
            shape.reverse();
        }
        self.parameters.push((self.path.path(), shape, transposed));
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.unsupported.get_or_insert_with(|| self.path.path());
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.unsupported.get_or_insert_with(|| self.path.path());
    }
}

/// Takes every float parameter to the host.
#[derive(Default)]
pub(super) struct Reader {
    path: ModulePath,
    pub(super) values: HashMap<String, Vec<f32>>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().iter::<f32>().collect();
        self.values.insert(self.path.path(), values);
    }
}

/// Puts host values into float parameters; those without values stay as they are.
pub(super) struct Writer<F> {
    path: ModulePath,
    /// The values of the parameter at a path.
    values: F,
    error: Option<Error>,
}

impl<F: FnMut(&str) -> Result<Option<Vec<f32>>, Error>> Writer<F> {
    /// The module with the values that `values` gives for paths. They are asked for one parameter at a time.
    pub(super) fn write<M: Module>(module: M, values: F) -> Result<M, Error> {
        let mut writer = Self { path: ModulePath::default(), values, error: None };
        let module = module.map(&mut writer);
        writer.error.map_or(Ok(module), Err)
    }
}

impl<F: FnMut(&str) -> Result<Option<Vec<f32>>, Error>> ModuleMapper for Writer<F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        match (self.values)(&self.path.path()) {
            Ok(None) => param,
            Ok(Some(values)) => {
                let data = TensorData::new(values, param.lazy_shape());
                let tensor = Tensor::from_data(data, &param.lazy_device());
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
