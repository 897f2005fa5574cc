curl --request GET \
  --url https://api.creatify.ai/sse/text_generator/ \
  --header 'X-API-ID: <api-key>' \
  --header 'X-API-KEY: <api-key>'
