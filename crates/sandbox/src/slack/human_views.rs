//! What people do in modals and home tabs.

use serde_json::{Map, Value, json};

use super::api::modals;
use super::cannot_act::CannotAct;
use super::controls;
use super::delivery::{Kind, Receipt, deliver};
use super::human::Human;
use super::payload;
use super::workspace::{View, Workspace};

impl Human {
    /// Fills in the modal and submits it. `values` is an object: block_id, action_id or label →
    /// text, option, date, …. The answer (`errors`, `update`, `push`, `clear`) is carried out.
    pub async fn submits(&self, view_id: &str, values: Value) -> Result<Receipt, CannotAct> {
        let payload = self.sandbox.change(|world| {
            modals::fill_in(world, &self.person.id, view_id, &values)?;
            let view = open_view(world, &self.person.id, view_id)?;
            Ok(payload::view_submission(world, &self.person, &view))
        })?;
        let mut receipt = deliver(&self.sandbox, Kind::Interaction, &payload).await;
        self.sandbox.change(|world| {
            receipt.error = modals::submitted(world, &self.person.id, view_id, &receipt);
        });
        Ok(receipt)
    }

    /// Closes the modal by its close button. The app hears of it only if it asked to; otherwise the
    /// receipt is of no attempt.
    pub async fn closes(&self, view_id: &str) -> Result<Receipt, CannotAct> {
        let payload = self.sandbox.change(|world| {
            let view = open_view(world, &self.person.id, view_id)?;
            let stack = world.views.entry(self.person.id.clone()).or_default();
            let clears = view.body["clear_on_close"] == true;
            stack.retain(|v| !clears && v.id != view_id);
            let told = view.body["notify_on_close"] == true;
            Ok(told.then(|| payload::view_closed(world, &self.person, &view, clears)))
        })?;
        match payload {
            Some(payload) => Ok(deliver(&self.sandbox, Kind::Interaction, &payload).await),
            None => Ok(Receipt::default()),
        }
    }

    /// Presses a button in an open modal or in the home tab.
    pub async fn clicks_in_view(&self, view_id: &str, wanted: &str) -> Result<Receipt, CannotAct> {
        self.acts_in_view(view_id, wanted, None).await
    }

    /// Chooses from a menu in an open modal or in the home tab.
    pub async fn selects_in_view(
        &self,
        view_id: &str,
        wanted: &str,
        value: impl Into<Value>,
    ) -> Result<Receipt, CannotAct> {
        self.acts_in_view(view_id, wanted, Some(value.into())).await
    }

    async fn acts_in_view(
        &self,
        view_id: &str,
        wanted: &str,
        value: Option<Value>,
    ) -> Result<Receipt, CannotAct> {
        let payload = self.sandbox.change(|world| {
            let view = open_view(world, &self.person.id, view_id)?;
            let blocks = view.body["blocks"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let control = controls::pick(controls::controls(blocks, None), wanted)?;
            let chosen = match &value {
                Some(value) => controls::choose(world, &control.element, value)?,
                None => Map::new(),
            };
            if let Some(view) = world.view_mut(view_id).filter(|_| !chosen.is_empty()) {
                let block = view
                    .values
                    .entry(&control.block_id)
                    .or_insert_with(|| json!({}));
                block[control.action_id()] = Value::Object(chosen.clone());
            }
            let view = open_view(world, &self.person.id, view_id)?;
            Ok(payload::action_in_view(
                world,
                &self.person,
                &view,
                &control,
                &chosen,
            ))
        })?;
        Ok(deliver(&self.sandbox, Kind::Interaction, &payload).await)
    }
}

fn open_view(world: &Workspace, user: &str, view_id: &str) -> Result<View, CannotAct> {
    let found = world.view(view_id).filter(|v| v.user == user).cloned();
    found.ok_or_else(|| CannotAct::NoView(view_id.to_string()))
}
