# The incident pages, and what comes in by https: only where there is a certificate.
locals {
  public = var.certificate_arn != null
  once   = local.public ? toset(["this"]) : toset([])
}

resource "aws_security_group" "public" {
  for_each = local.once

  name_prefix = "${var.name}-public-"
  description = "The load balancer of ${var.name}"
  vpc_id      = aws_vpc.this.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "public" {
  for_each = {
    for pair in setproduct(local.public ? [80, 443] : [], var.public_from) : "${pair[1]}:${pair[0]}" => pair
  }

  security_group_id = aws_security_group.public["this"].id
  description       = "Browsers and senders"
  ip_protocol       = "tcp"
  from_port         = each.value[0]
  to_port           = each.value[0]
  cidr_ipv4         = each.value[1]
}

resource "aws_vpc_security_group_egress_rule" "public" {
  for_each = local.once

  security_group_id            = aws_security_group.public["this"].id
  description                  = "The bot"
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
  referenced_security_group_id = aws_security_group.bot.id
}

resource "aws_vpc_security_group_ingress_rule" "bot" {
  for_each = local.once

  security_group_id            = aws_security_group.bot.id
  description                  = "The load balancer"
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
  referenced_security_group_id = aws_security_group.public["this"].id
}

resource "aws_lb" "this" {
  for_each = local.once

  name                       = var.name
  load_balancer_type         = "application"
  security_groups            = [aws_security_group.public["this"].id]
  subnets                    = [for subnet in aws_subnet.public : subnet.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.database_protected
}

resource "aws_lb_target_group" "bot" {
  for_each = local.once

  name_prefix          = "bot-"
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = aws_vpc.this.id
  deregistration_delay = 30

  health_check {
    path     = "/health/ready"
    matcher  = "200"
    interval = 10
    timeout  = 5
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "http" {
  for_each = local.once

  load_balancer_arn = aws_lb.this["this"].arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  for_each = local.once

  load_balancer_arn = aws_lb.this["this"].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  # Health and metrics are nobody's business outside.
  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "There is nothing here."
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "paths" {
  for_each = local.public ? var.public_paths : toset([])

  listener_arn = aws_lb_listener.https["this"].arn

  condition {
    path_pattern {
      values = [each.key]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.bot["this"].arn
  }
}
