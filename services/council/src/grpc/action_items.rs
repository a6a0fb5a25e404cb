//! Action items.

use super::Api;
use remit_api::council::v1::action_item_service_server::ActionItemService;
use remit_api::council::v1::{
    ActionItem, CloseActionItemRequest, CreateActionItemRequest, GetActionItemRequest, ListActionItemsRequest,
    ListActionItemsResponse, UpdateActionItemRequest,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ActionItemService for Api {
    async fn create_action_item(
        &self,
        request: Request<CreateActionItemRequest>,
    ) -> Result<Response<ActionItem>, Status> {
        unary(request, async |cx, m| self.0.create_action_item(cx, m).await).await
    }

    async fn get_action_item(&self, request: Request<GetActionItemRequest>) -> Result<Response<ActionItem>, Status> {
        unary(request, async |cx, m| self.0.get_action_item(cx, m).await).await
    }

    async fn list_action_items(
        &self,
        request: Request<ListActionItemsRequest>,
    ) -> Result<Response<ListActionItemsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_action_items(cx, m).await).await
    }

    async fn update_action_item(
        &self,
        request: Request<UpdateActionItemRequest>,
    ) -> Result<Response<ActionItem>, Status> {
        unary(request, async |cx, m| self.0.update_action_item(cx, m).await).await
    }

    async fn close_action_item(
        &self,
        request: Request<CloseActionItemRequest>,
    ) -> Result<Response<ActionItem>, Status> {
        unary(request, async |cx, m| self.0.close_action_item(cx, m).await).await
    }
}
