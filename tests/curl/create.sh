curl --request POST \
  --url https://api.creatify.ai/sse/text_generator/ \
  --header 'Content-Type: application/json' \
  --header 'X-API-ID: <api-key>' \
  --header 'X-API-KEY: <api-key>' \
  --data '
{
  "model_name": "<string>",
  "messages": [
    {
      "role": "user",
      "content": ""
    }
  ],
  "system_instruction": "",
  "config": {
    "temperature": 123,
    "max_output_tokens": 123,
    "top_p": 123,
    "top_k": 123,
    "presence_penalty": 123,
    "frequency_penalty": 123,
    "seed": 123,
    "stop_sequences": [
      "<string>"
    ],
    "response_mime_type": "text/plain",
    "response_json_schema": "<unknown>"
  },
  "tools": [
    {
      "function_declarations": [
        {
          "name": "<string>",
          "description": "",
          "parameters": "<unknown>"
        }
      ]
    }
  ],
  "tool_config": {
    "function_calling_config": {
      "mode": "AUTO",
      "allowed_function_names": [
        "<string>"
      ]
    }
  },
  "webhook_url": "<string>",
  "sync": false
}
'
