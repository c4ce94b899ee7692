//! The fenced blocks of a page of Markdown.

/// A fenced block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// The comment before it.
    comment: String,
}

/// One command, and what the page shows of its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) shown: String,
}

/// What is done with a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// It is run and ends with this code.
    EndsWith(i32),
    /// It runs until it is told to stop, while the reader goes on elsewhere.
    OtherTerminal,
    /// It is not run, because of these programs.
    NotRun(Vec<String>),
}

/// Every block of a page.
pub(crate) fn of(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = "";
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                let comment = before.strip_prefix("<!-- ").and_then(|text| text.strip_suffix(" -->"));
                open = Some(Block {
                    language: language.split(',').next().unwrap_or_default().trim().to_owned(),
                    text: String::new(),
                    line: index + 1,
                    comment: comment.unwrap_or_default().to_owned(),
                });
            }
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
        if !line.trim().is_empty() {
            before = line.trim();
        }
    }
    blocks
}

impl Block {
    pub(crate) fn is_shell(&self) -> bool {
        matches!(self.language.as_str(), "sh" | "bash" | "shell" | "console")
    }

    /// The file that it is, if its comment says so.
    pub(crate) fn file(&self) -> Option<&str> {
        self.comment.strip_prefix("file: ")
    }

    /// What its comment asks for.
    ///
    /// # Panics
    /// If the comment is none of those that are known.
    pub(crate) fn treatment(&self, place: &str) -> Treatment {
        match self.comment.split_once(": ") {
            Some(("not run", programs)) => {
                Treatment::NotRun(programs.split(", ").map(str::to_owned).collect())
            }
            Some(("ends with", code)) => Treatment::EndsWith(code.parse().expect(place)),
            _ if self.comment == "in another terminal" => Treatment::OtherTerminal,
            _ => Treatment::EndsWith(0),
        }
    }

    /// The commands of a console with what is shown of their answers; a script is one.
    pub(crate) fn steps(&self) -> Vec<Step> {
        if self.language != "console" {
            return vec![Step { command: self.text.clone(), shown: String::new() }];
        }
        let mut steps: Vec<Step> = Vec::new();
        let mut goes_on = false;
        for line in self.text.lines() {
            let command = line.strip_prefix("$ ");
            if let Some(command) = command {
                steps.push(Step { command: format!("{command}\n"), ..Step::default() });
            } else if let Some(step) = steps.last_mut() {
                let to = if goes_on { &mut step.command } else { &mut step.shown };
                to.push_str(line);
                to.push('\n');
            }
            goes_on = (command.is_some() || goes_on)
                && steps
                    .last()
                    .is_some_and(|step| line.ends_with('\\') || step.command.matches('\'').count() % 2 == 1);
        }
        steps
    }
}
