//! Calls of functions: those of HCL, and those of the files.

use std::collections::BTreeMap;

use hcl_edit::expr::Expression;

use super::{
    error::{BakeError, BakeFault},
    eval::called,
    functions,
    scope::{Locals, World},
    value::Value,
};

impl World<'_> {
    /// Calls a function of HCL, or one of the files.
    pub(crate) fn call(&self, name: &str, values: Vec<Value>) -> Result<Value, BakeError> {
        if let Some(function) = functions::find(name) {
            return function(&values).map_err(|reason| called(name, reason));
        }
        let Some(function) = self.functions.get(name) else {
            let known: Vec<&str> = functions::names().collect();
            let known = known.into_iter().chain(self.functions.keys().map(|known| &**known));
            return Err(BakeFault::unknown("function", name, known).into());
        };
        let wrong = |reason: String| called(name, reason).at(&function.place);
        let attribute = |key: &str| {
            function.attributes.get(key).ok_or_else(|| wrong(format!("the function has no {key}")))
        };
        let Expression::Array(parameters) = &attribute("params")?.expression else {
            return Err(wrong("params is no list of names".into()));
        };
        let names: Option<Vec<String>> = parameters.iter().map(keyword).collect();
        let names = names.ok_or_else(|| wrong("params is no list of names".into()))?;
        let variadic =
            function.attributes.get("variadic_params").map(|attribute| keyword(&attribute.expression));
        if values.len() < names.len() || (variadic.is_none() && values.len() > names.len()) {
            return Err(called(name, format!("expected {} arguments, got {}", names.len(), values.len())));
        }
        let mut values = values.into_iter();
        let mut locals: BTreeMap<String, Value> = names.into_iter().zip(values.by_ref()).collect();
        if let Some(variadic) = variadic {
            let variadic = variadic.ok_or_else(|| wrong("variadic_params is no name".into()))?;
            locals.insert(variadic, Value::List(values.collect()));
        }
        let result = attribute("result")?;
        self.once("functions", &format!("{name}()"), || self.evaluate(result, Some(&Locals::new(locals))))
    }
}

/// A bare word, or the same as a string, as JSON has it.
fn keyword(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Variable(name) => Some(name.as_str().to_owned()),
        Expression::String(text) => Some(text.value().clone()),
        _ => None,
    }
}
