use super::Api;
use remit_api::scoring::v1::function_service_server::FunctionService;
use remit_api::scoring::v1::*;
use remit_runtime::unary;
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl FunctionService for Api {
    async fn get_function(&self, request: Request<GetFunctionRequest>) -> Result<Response<Function>, Status> {
        unary(request, async |cx, m| self.0.get_function(cx, m).await).await
    }

    async fn list_functions(
        &self,
        request: Request<ListFunctionsRequest>,
    ) -> Result<Response<ListFunctionsResponse>, Status> {
        unary(request, async |cx, m| self.0.list_functions(cx, m).await).await
    }

    async fn update_function(&self, request: Request<UpdateFunctionRequest>) -> Result<Response<Function>, Status> {
        unary(request, async |cx, m| self.0.update_function(cx, m).await).await
    }
}
