resource "aws_secretsmanager_secret" "bot" {
  for_each = var.secrets

  name_prefix = "${var.name}-${lower(replace(trimprefix(each.key, "TREASURY_BOT_"), "_", "-"))}-"
  description = "${each.key} of ${var.name}; put its value in by hand"
}

resource "aws_cloudwatch_log_group" "bot" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_days
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

# What ECS needs to start a task: its secrets, its log. There is no role of the task itself: the bot asks
# AWS for nothing. (Acting on services that run on ECS is not there yet; it would need one.)
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "start" {
  statement {
    sid     = "Secrets"
    actions = ["secretsmanager:GetSecretValue"]
    resources = concat(
      [for secret in aws_secretsmanager_secret.bot : secret.arn],
      [aws_secretsmanager_secret.store_password.arn],
      var.registry_secret_arn == null ? [] : [var.registry_secret_arn],
    )
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.bot.arn}:*"]
  }
}

resource "aws_iam_role" "start" {
  name_prefix        = "${var.name}-start-"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "start" {
  name   = "start"
  role   = aws_iam_role.start.id
  policy = data.aws_iam_policy_document.start.json
}

locals {
  config_folder = "/etc/treasury-bot"
  # Without Amazon's certificates the way to the store is encrypted, but its server not proven.
  store_url = join("", [
    "postgres://${aws_db_instance.store.username}@${aws_db_instance.store.endpoint}/${aws_db_instance.store.db_name}",
    "?sslmode=${var.database_ca_file == null ? "require" : "verify-full"}",
  ])

  log = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.bot.name
      awslogs-region        = var.region
      awslogs-stream-prefix = "bot"
    }
  }

  # Fargate has no ConfigMaps: a first container writes the file onto a volume of the task, and ends.
  config_writer = {
    name                   = "config"
    image                  = var.config_writer_image
    essential              = false
    user                   = "0"
    readonlyRootFilesystem = true
    command                = ["sh", "-c", "printf '%s' \"$CONFIG\" > ${local.config_folder}/treasury-bot.toml"]
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    environment            = [{ name = "CONFIG", value = file(var.config_file) }]
    mountPoints            = [{ sourceVolume = "config", containerPath = local.config_folder }]
    logConfiguration       = local.log
  }

  bot = {
    name                   = "bot"
    image                  = var.image
    repositoryCredentials  = var.registry_secret_arn == null ? null : { credentialsParameter = var.registry_secret_arn }
    essential              = true
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    stopTimeout            = 60
    dependsOn              = [{ containerName = "config", condition = "SUCCESS" }]
    portMappings           = [{ containerPort = 8080, protocol = "tcp" }]
    mountPoints            = [{ sourceVolume = "config", containerPath = local.config_folder, readOnly = true }]
    environment = concat(
      [
        { name = "TREASURY_BOT_CONFIG", value = "${local.config_folder}/treasury-bot.toml" },
        { name = "TREASURY_BOT_STORE_URL", value = local.store_url },
        # A new password has to make a new revision, since a task reads its secrets only when it starts.
        { name = "STORE_PASSWORD_VERSION", value = tostring(var.database_password_version) },
      ],
      var.database_ca_file == null ? [] : [{ name = "PGSSLROOTCERT", value = file(var.database_ca_file) }],
    )
    secrets = concat(
      [for name, secret in aws_secretsmanager_secret.bot : { name = name, valueFrom = secret.arn }],
      [{ name = "PGPASSWORD", valueFrom = aws_secretsmanager_secret.store_password.arn }],
    )
    healthCheck = {
      command     = ["CMD", "/usr/local/bin/treasury-bot", "health"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
    logConfiguration = local.log
  }
}

resource "aws_ecs_task_definition" "bot" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.start.arn
  container_definitions    = jsonencode([local.config_writer, local.bot])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = "config"
  }
}

resource "aws_ecs_service" "bot" {
  name             = var.name
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.bot.arn
  desired_count    = var.tasks
  launch_type      = "FARGATE"
  platform_version = "1.4.0"

  # A new version that doesn't get healthy is taken back.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = local.public ? 60 : null

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.bot.id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = aws_lb_target_group.bot

    content {
      target_group_arn = load_balancer.value.arn
      container_name   = local.bot.name
      container_port   = 8080
    }
  }

  depends_on = [aws_iam_role_policy.start, aws_lb_listener.https]
}
