//! Subscriptions and their deliveries.

use super::Api;
use remit_api::notify::v1::subscription_service_server::SubscriptionService;
use remit_api::notify::v1::{
    CreateSubscriptionRequest, DeleteSubscriptionRequest, DeleteSubscriptionResponse, Delivery, GetDeliveryRequest,
    GetSubscriptionRequest, ListDeliveriesRequest, ListDeliveriesResponse, ListSubscriptionsRequest,
    ListSubscriptionsResponse, PauseSubscriptionRequest, ReplayDeliveriesRequest, ReplayDeliveriesResponse,
    ResumeSubscriptionRequest, RotateSecretRequest, RotateSecretResponse, Subscription, TestSubscriptionRequest,
    UpdateSubscriptionRequest,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl SubscriptionService for Api {
    async fn create_subscription(
        &self,
        request: Request<CreateSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        unary(request, async |cx, m| self.0.create_subscription(cx, m).await).await
    }

    async fn get_subscription(
        &self,
        request: Request<GetSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        unary(request, async |cx, m| self.0.get_subscription(cx, m).await).await
    }

    async fn list_subscriptions(
        &self,
        request: Request<ListSubscriptionsRequest>,
    ) -> Result<Response<ListSubscriptionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_subscriptions(cx, m).await).await
    }

    async fn update_subscription(
        &self,
        request: Request<UpdateSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        unary(request, async |cx, m| self.0.update_subscription(cx, m).await).await
    }

    async fn delete_subscription(
        &self,
        request: Request<DeleteSubscriptionRequest>,
    ) -> Result<Response<DeleteSubscriptionResponse>, Status> {
        unary(request, async |cx, m| self.0.delete_subscription(cx, m).await).await
    }

    async fn pause_subscription(
        &self,
        request: Request<PauseSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        unary(request, async |cx, m| self.0.pause_subscription(cx, m).await).await
    }

    async fn resume_subscription(
        &self,
        request: Request<ResumeSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        unary(request, async |cx, m| self.0.resume_subscription(cx, m).await).await
    }

    async fn rotate_secret(
        &self,
        request: Request<RotateSecretRequest>,
    ) -> Result<Response<RotateSecretResponse>, Status> {
        unary(request, async |cx, m| self.0.rotate_secret(cx, m).await).await
    }

    async fn test_subscription(&self, request: Request<TestSubscriptionRequest>) -> Result<Response<Delivery>, Status> {
        unary(request, async |cx, m| self.0.test_subscription(cx, m).await).await
    }

    async fn get_delivery(&self, request: Request<GetDeliveryRequest>) -> Result<Response<Delivery>, Status> {
        unary(request, async |cx, m| self.0.get_delivery(cx, m).await).await
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        unary(request, async |cx, m| self.0.list_deliveries(cx, m).await).await
    }

    async fn replay_deliveries(
        &self,
        request: Request<ReplayDeliveriesRequest>,
    ) -> Result<Response<ReplayDeliveriesResponse>, Status> {
        unary(request, async |cx, m| self.0.replay_deliveries(cx, m).await).await
    }
}
