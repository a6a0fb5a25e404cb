use super::{Api, answer};
use remit_api::scoring::v1::function_service_server::FunctionService;
use remit_api::scoring::v1::*;
use remit_runtime::accept;
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl FunctionService for Api {
    async fn get_function(&self, request: Request<GetFunctionRequest>) -> Result<Response<Function>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.get_function(&cx.tenant, &request.name).await)
    }

    async fn list_functions(
        &self,
        request: Request<ListFunctionsRequest>,
    ) -> Result<Response<ListFunctionsResponse>, Status> {
        let (cx, request) = accept(request)?;
        answer(self.0.list_functions(&cx.tenant, &request).await)
    }

    async fn update_function(&self, request: Request<UpdateFunctionRequest>) -> Result<Response<Function>, Status> {
        let (cx, request) = accept(request)?;
        let call = cx.call(&request.request_id, &request, self.0.clock.as_ref());
        answer(self.0.update_function(&call, request).await)
    }
}
