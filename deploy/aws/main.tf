# A sample function with an IAM-protected Function URL, and a role that may call it.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws     = { source = "hashicorp/aws", version = ">= 6.18" }
    archive = { source = "hashicorp/archive", version = ">= 2.4" }
  }
}

variable "caller_principal" {
  description = "Who may take the caller's role, such as your own user or an ECS task's role; empty for none"
  type        = string
  default     = ""
}

variable "caller_account" {
  description = "Another account whose roles may call the function; empty for one account"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9]{12})?$", var.caller_account))
    error_message = "An account is twelve digits."
  }
}

data "archive_file" "function" {
  type        = "zip"
  source_dir  = "${path.module}/function"
  output_path = "${path.module}/function.zip"
}

data "aws_iam_policy_document" "lambda_may_assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name_prefix        = "countersign-sample-function-"
  assume_role_policy = data.aws_iam_policy_document.lambda_may_assume.json
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.function.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_function" "sample" {
  function_name    = "countersign-sample"
  role             = aws_iam_role.function.arn
  handler          = "app.handler"
  runtime          = "python3.13"
  architectures    = ["arm64"]
  memory_size      = 128
  timeout          = 10
  filename         = data.archive_file.function.output_path
  source_code_hash = data.archive_file.function.output_base64sha256
}

resource "aws_lambda_function_url" "sample" {
  function_name      = aws_lambda_function.sample.function_name
  authorization_type = "AWS_IAM"
  invoke_mode        = "BUFFERED"
}

# In one account the caller's own policy is enough. Both actions are needed:
# https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
data "aws_iam_policy_document" "call" {
  statement {
    actions   = ["lambda:InvokeFunctionUrl"]
    resources = [aws_lambda_function.sample.arn]
    condition {
      test     = "StringEquals"
      variable = "lambda:FunctionUrlAuthType"
      values   = ["AWS_IAM"]
    }
  }
  statement {
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_function.sample.arn]
    condition {
      test     = "Bool"
      variable = "lambda:InvokedViaFunctionUrl"
      values   = ["true"]
    }
  }
}

data "aws_iam_policy_document" "caller_may_assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [var.caller_principal]
    }
  }
}

resource "aws_iam_role" "caller" {
  count              = var.caller_principal == "" ? 0 : 1
  name_prefix        = "countersign-sample-caller-"
  assume_role_policy = data.aws_iam_policy_document.caller_may_assume.json
}

resource "aws_iam_role_policy" "caller" {
  count  = var.caller_principal == "" ? 0 : 1
  name   = "call-function-url"
  role   = aws_iam_role.caller[0].id
  policy = data.aws_iam_policy_document.call.json
}

# Across accounts the function's side must allow too: the same two actions.
resource "aws_lambda_permission" "url" {
  count                  = var.caller_account == "" ? 0 : 1
  statement_id           = "countersign-url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.sample.function_name
  principal              = var.caller_account
  function_url_auth_type = "AWS_IAM"
}

resource "aws_lambda_permission" "invoke" {
  count                    = var.caller_account == "" ? 0 : 1
  statement_id             = "countersign-invoke"
  action                   = "lambda:InvokeFunction"
  function_name            = aws_lambda_function.sample.function_name
  principal                = var.caller_account
  invoked_via_function_url = true
}

output "function_url" {
  description = "The target of a route"
  value       = trimsuffix(aws_lambda_function_url.sample.function_url, "/")
}

output "function_arn" {
  value = aws_lambda_function.sample.arn
}

output "caller_role_arn" {
  value = one(aws_iam_role.caller[*].arn)
}
