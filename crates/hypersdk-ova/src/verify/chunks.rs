//! Files cut in chunks, looked into as wholes.

use std::collections::{HashMap, HashSet};

use super::inspection::Inspection;
use super::member::{Content, Found, is_descriptor};
use super::report::{Fault, FaultClass, Level};
use super::rules::{parse_descriptor, parts_of};

/// A chunk's place: the whole file's name, and its number.
#[derive(Debug, Clone)]
struct Part {
    file: String,
    number: usize,
    last: bool,
}

struct Series {
    file: String,
    first: String,
    next: usize,
    complete: bool,
    inspection: Inspection,
}

/// Puts chunks together as they pass, one file after another as the descriptor lists them.
pub(super) struct Chunks {
    level: Level,
    parts: HashMap<String, Part>,
    series: Option<Series>,
    /// Whether the bytes that pass belong to the series.
    inside: bool,
    contents: Vec<(String, Content)>,
    /// Chunks that did not follow the one before them.
    strays: Vec<Part>,
    faults: Vec<Fault>,
}

impl Chunks {
    pub(super) fn new(level: Level) -> Self {
        Self {
            level,
            parts: HashMap::new(),
            series: None,
            inside: false,
            contents: Vec::new(),
            strays: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Takes over what the descriptor says about chunks, if this is one.
    pub(super) fn learn(&mut self, found: &Found) {
        let Content::Text(text) = &found.content else { return };
        if !is_descriptor(&found.name) || !self.parts.is_empty() {
            return;
        }
        let Ok(descriptor) = parse_descriptor(text) else { return };
        for file in descriptor.files.iter().filter(|file| file.chunk_size.is_some()) {
            let parts: Vec<String> = parts_of(file).collect();
            let last = parts.len().saturating_sub(1);
            for (number, name) in parts.into_iter().enumerate().filter(|(_, name)| *name != file.href) {
                let part = Part { file: file.href.clone(), number, last: number == last };
                self.parts.insert(name, part);
            }
        }
    }

    /// Begins the next member; whether it is a chunk.
    pub(super) fn part(&mut self, name: &str) -> bool {
        self.inside = false;
        let Some(part) = self.parts.get(name).cloned() else { return false };
        if part.number == 0 {
            self.close();
            let inspection = Inspection::new(&part.file, self.level);
            let (first, complete) = (name.to_owned(), part.last);
            self.series = Some(Series { file: part.file, first, next: 1, complete, inspection });
            self.inside = true;
            return true;
        }
        match &mut self.series {
            Some(series) if series.file == part.file && series.next == part.number => {
                series.next += 1;
                series.complete = part.last;
                self.inside = true;
            }
            _ => self.strays.push(part),
        }
        true
    }

    /// Takes bytes of the member begun last.
    pub(super) fn push(&mut self, data: &[u8]) {
        if let Some(series) = self.series.as_mut().filter(|_| self.inside) {
            series.inspection.push(data);
        }
    }

    /// Notes what is in the whole files at the first chunk of each.
    pub(super) fn finish(mut self, found: &mut [Found]) -> Vec<Fault> {
        self.close();
        self.report_strays(found);
        for (first, content) in self.contents {
            if let Some(found) = found.iter_mut().find(|found| found.name == first) {
                found.content = content;
            }
        }
        self.faults
    }

    /// Says once of each file that its chunks are in disorder. If one is missing, the rules say that.
    fn report_strays(&mut self, found: &[Found]) {
        let there: HashSet<&str> = found.iter().map(|file| file.name.as_str()).collect();
        let missing = self.parts.iter().filter(|(name, _)| !there.contains(name.as_str()));
        let mut told: HashSet<&str> = missing.map(|(_, part)| part.file.as_str()).collect();
        for Part { file, .. } in &self.strays {
            if told.insert(file) {
                let message = "its chunks do not follow each other".to_owned();
                let (class, file) = (FaultClass::Archive, Some(file.clone()));
                self.faults.push(Fault { class, file, offset: None, message });
            }
        }
    }

    /// A series that is not complete has a chunk missing, which the rules find.
    fn close(&mut self) {
        if let Some(series) = self.series.take().filter(|series| series.complete) {
            let (content, faults) = series.inspection.finish();
            self.contents.push((series.first, content));
            self.faults.extend(faults);
        }
    }
}
