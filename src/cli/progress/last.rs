//! Keeps the warnings about a whole build for its end, where they do not scroll out of sight.

use std::io::{self, Write};

use polyarch_actors::{BuildEvent, EventKind};

use super::{View, text::line};

/// Another view with a short list of warnings below it.
pub(super) struct WarningsLast<V> {
    view: V,
    label: String,
    warnings: Vec<String>,
}

impl<V> WarningsLast<V> {
    pub(super) fn new(view: V, label: String) -> Self {
        Self { view, label, warnings: Vec::new() }
    }
}

impl<V: View> View for WarningsLast<V> {
    fn show(&mut self, event: &BuildEvent) -> io::Result<()> {
        match (&event.platform, &event.kind) {
            (None, EventKind::Warned { message }) => self.warnings.push(message.clone()),
            (None, EventKind::Finished { .. }) => {
                self.view.show(event)?;
                io::stderr().lock().write_all(list(&self.label, &self.warnings).as_bytes())?;
            }
            _ => self.view.show(event)?,
        }
        Ok(())
    }
}

fn list(label: &str, warnings: &[String]) -> String {
    let head = match warnings.len() {
        0 => return String::new(),
        1 => "1 warning found".to_owned(),
        count => format!("{count} warnings found"),
    };
    let about = if label.is_empty() { String::new() } else { format!("{}: ", label.trim_end()) };
    let mut text = format!("{about}{head} (use --check to expand):\n");
    for warning in warnings {
        text.push_str(" - ");
        text.push_str(&line(warning));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_counts_its_warnings_and_draws_no_control_character() {
        assert_eq!(list("", &[]), "");
        assert_eq!(list("", &["a (D:1)".into()]), "1 warning found (use --check to expand):\n - a (D:1)\n");
        let two = list("app ", &["a\u{1b}[31m".into(), "b".into()]);
        assert_eq!(two, "app: 2 warnings found (use --check to expand):\n - a\u{fffd}[31m\n - b\n");
    }
}
