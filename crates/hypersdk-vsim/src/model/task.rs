use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::world::{State, World};
use crate::wire::{Fault, MoRef, Value};

const RECENT: usize = 10;

#[derive(Clone, Debug)]
pub(crate) enum TaskPhase {
    Queued,
    Running,
    Success(Option<Value>),
    Error(Fault),
}

/// A task, as its TaskInfo shows it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) moref: MoRef,
    pub(crate) method: &'static str,
    pub(crate) description_id: &'static str,
    pub(crate) entity: MoRef,
    pub(crate) entity_name: String,
    pub(crate) user: String,
    pub(crate) phase: TaskPhase,
    pub(crate) progress: i32,
    pub(crate) queued: DateTime<Utc>,
    pub(crate) started: Option<DateTime<Utc>>,
    pub(crate) completed: Option<DateTime<Utc>>,
}

impl State {
    /// Enters a queued task on an entity.
    pub(crate) fn add_task(
        &mut self,
        method: &'static str,
        description_id: &'static str,
        entity: &MoRef,
        user: &str,
    ) -> Result<MoRef, Fault> {
        let entity_name = self.entity(entity)?.name.clone();
        let moref = MoRef::new("Task", format!("task-{}", self.fresh()));
        let task = Task {
            moref: moref.clone(),
            method,
            description_id,
            entity: entity.clone(),
            entity_name,
            user: user.to_owned(),
            phase: TaskPhase::Queued,
            progress: 0,
            queued: Utc::now(),
            started: None,
            completed: None,
        };
        self.tasks.insert(moref.id.clone(), task);
        if entity.ty == "VirtualMachine" {
            let recent = &mut self.vm_mut(entity)?.recent_tasks;
            recent.push(moref.clone());
            if recent.len() > RECENT {
                recent.remove(0);
            }
        }
        Ok(moref)
    }

    pub(crate) fn start_task(&mut self, task: &MoRef) {
        if let Some(task) = self.tasks.get_mut(&task.id) {
            task.phase = TaskPhase::Running;
            task.started = Some(Utc::now());
        }
    }

    pub(crate) fn end_task(&mut self, task: &MoRef, result: Result<Option<Value>, Fault>) {
        if let Some(task) = self.tasks.get_mut(&task.id) {
            task.progress = 100;
            task.completed = Some(Utc::now());
            task.phase = match result {
                Ok(value) => TaskPhase::Success(value),
                Err(fault) => TaskPhase::Error(fault),
            };
        }
    }
}

impl World {
    /// Starts a task whose effect, `work`, comes at its end.
    pub(crate) fn run_task(
        self: &Arc<Self>,
        method: &'static str,
        description_id: &'static str,
        entity: &MoRef,
        user: &str,
        work: impl FnOnce(&World, &mut State) -> Result<Option<Value>, Fault> + Send + 'static,
    ) -> Result<MoRef, Fault> {
        let task = self.change(|state| {
            let task = state.add_task(method, description_id, entity, user)?;
            state.start_task(&task);
            Ok(task)
        })?;
        let world = Arc::clone(self);
        let running = task.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = world.stop.cancelled() => {}
                () = tokio::time::sleep(world.config.task_delay) => world.change(|state| {
                    let result = work(&world, state);
                    state.end_task(&running, result);
                }),
            }
        });
        Ok(task)
    }
}
