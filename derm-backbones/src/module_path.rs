/// Where a visitor stands in a module: names and kinds from the outside in.
#[derive(Default)]
pub(crate) struct ModulePath(Vec<(String, String)>);

impl ModulePath {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    /// The names joined by dots, enum variants left out, the parameters of layer norms by torch's names.
    pub(crate) fn path(&self) -> String {
        let names = self.0.iter().filter(|(_, container)| !container.starts_with("Enum:"));
        let names = names.map(|(name, container)| match (name.as_str(), container.as_str()) {
            ("gamma", "Struct:LayerNorm") => "weight",
            ("beta", "Struct:LayerNorm") => "bias",
            (name, _) => name,
        });
        names.collect::<Vec<_>>().join(".")
    }

    /// The parameter's name inside of a linear layer.
    pub(crate) fn in_linear(&self) -> Option<&str> {
        self.0.last().filter(|(_, container)| container == "Struct:Linear").map(|(name, _)| name.as_str())
    }

    /// Burn keeps linear weights as [in, out], torch as [out, in].
    pub(crate) fn is_linear_weight(&self) -> bool {
        self.in_linear() == Some("weight")
    }
}
