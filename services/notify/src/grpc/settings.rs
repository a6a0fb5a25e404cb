//! Where notices reach people.

use super::Api;
use remit_api::notify::v1::settings_service_server::SettingsService;
use remit_api::notify::v1::{
    ConfirmEmailRequest, GetNotificationSettingsRequest, NotificationSettings, UpdateNotificationSettingsRequest,
};
use remit_runtime::unary;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl SettingsService for Api {
    async fn get_notification_settings(
        &self,
        request: Request<GetNotificationSettingsRequest>,
    ) -> Result<Response<NotificationSettings>, Status> {
        unary(request, async |cx, m| self.0.get_notification_settings(cx, m).await).await
    }

    async fn update_notification_settings(
        &self,
        request: Request<UpdateNotificationSettingsRequest>,
    ) -> Result<Response<NotificationSettings>, Status> {
        unary(request, async |cx, m| self.0.update_notification_settings(cx, m).await).await
    }

    async fn confirm_email(
        &self,
        request: Request<ConfirmEmailRequest>,
    ) -> Result<Response<NotificationSettings>, Status> {
        unary(request, async |cx, m| self.0.confirm_email(cx, m).await).await
    }
}
