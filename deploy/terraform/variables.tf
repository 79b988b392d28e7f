variable "region" {
  description = "The AWS region."
  type        = string
}

variable "name" {
  description = "What everything is called."
  type        = string
  default     = "treasury-bot"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.name))
    error_message = "Lower-case letters, digits and \"-\", 2 to 21 of them, a letter first."
  }
}

variable "image" {
  description = "The image, best by digest: ghcr.io/your-organisation/treasury-bot@sha256:…"
  type        = string

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[^:/@]+)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Name a digest, or a tag that isn't \"latest\": all tasks have to run the same."
  }
}

variable "registry_secret_arn" {
  description = "The secret with the login to a private registry ({\"username\": …, \"password\": …}); none for a public image."
  type        = string
  default     = null
}

variable "architecture" {
  description = "What the tasks run on."
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["ARM64", "X86_64"], var.architecture)
    error_message = "ARM64 or X86_64."
  }
}

variable "config_file" {
  description = "The bot's configuration, treasury-bot.toml; it holds no secret."
  type        = string
}

variable "config_writer_image" {
  description = "A small image with sh, which puts the configuration where the bot reads it and ends."
  type        = string
  default     = "public.ecr.aws/docker/library/busybox:1.37"
}

variable "tasks" {
  description = "How many bots run; 0 until the secrets have their values."
  type        = number
  default     = 2

  validation {
    condition     = var.tasks >= 0 && var.tasks <= 4 && floor(var.tasks) == var.tasks
    error_message = "0 to 4."
  }
}

variable "secrets" {
  description = "Variables of the bot whose values are secrets. Each becomes a secret whose value is put in by hand."
  type        = set(string)
  default = [
    "TREASURY_BOT_SLACK_BOT_TOKEN",
    "TREASURY_BOT_SLACK_APP_TOKEN",
    "TREASURY_BOT_ALERTS_TOKEN",
  ]

  validation {
    condition     = alltrue([for one in var.secrets : can(regex("^TREASURY_BOT_[A-Z0-9_]+$", one))])
    error_message = "Names as in deploy/treasury-bot.example.toml, such as TREASURY_BOT_EMAIL_PASSWORD."
  }
}

variable "cidr" {
  description = "The addresses of the VPC, a /16 to /22."
  type        = string
  default     = "10.40.0.0/20"

  validation {
    condition = (
      can(cidrnetmask(var.cidr))
      && can(regex("/(1[6-9]|2[0-2])$", var.cidr))
    )
    error_message = "An IPv4 range from /16 to /22."
  }
}

variable "zones" {
  description = "How many availability zones; each has a public and a private subnet."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "2 or 3."
  }
}

variable "gateway_per_zone" {
  description = "A NAT gateway in each zone, so that one zone's end cuts nobody else off; otherwise one for all."
  type        = bool
  default     = true
}

variable "egress" {
  description = "What the bot asks beside https, mail and its store: databases, caches, Docker engines."
  type = list(object({
    description = string
    port        = number
    cidr        = string
  }))
  default = []

  validation {
    condition = alltrue([
      for one in var.egress : one.port > 0 && one.port < 65536 && can(cidrnetmask(one.cidr))
    ])
    error_message = "A port and an IPv4 range each."
  }
}

variable "database_class" {
  description = "The machine of the store."
  type        = string
  default     = "db.t4g.micro"
}

variable "database_version" {
  description = "The major version of PostgreSQL."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^[0-9]{2}$", var.database_version))
    error_message = "A major version, such as 17."
  }
}

variable "database_multi_az" {
  description = "A standby in another zone that takes over."
  type        = bool
  default     = true
}

variable "database_backup_days" {
  description = "How long the daily backups are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.database_backup_days >= 1 && var.database_backup_days <= 35
    error_message = "1 to 35."
  }
}

variable "database_protected" {
  description = "Whether the store can't be deleted, and is backed up once more before it is."
  type        = bool
  default     = true
}

variable "database_ca_file" {
  description = "Amazon's certificates for RDS (the region's bundle, PEM): with it, the bot makes sure that it talks to its own store."
  type        = string
  default     = null
}

variable "database_password_version" {
  description = "Raise it by one for a new password; the tasks are replaced with it."
  type        = number
  default     = 1
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_days)
    error_message = "One of the times that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90 … days."
  }
}

variable "certificate_arn" {
  description = "A certificate of ACM. With it there is a load balancer with TLS, for the incident pages and for what comes in by https."
  type        = string
  default     = null
}

variable "public_paths" {
  description = "What the load balancer passes on: the pages; with [slack] mode = \"http\" also /slack/*, with senders of alerts outside also /alerts/*."
  type        = set(string)
  default     = ["/incidents", "/incidents/*"]

  validation {
    condition = alltrue([
      for one in var.public_paths : anytrue([for open in ["/incidents", "/slack/", "/alerts/"] : startswith(one, open)])
    ])
    error_message = "Only /incidents, /slack/ and /alerts/ have a guard of their own."
  }
}

variable "public_from" {
  description = "Who may reach the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for one in var.public_from : can(cidrnetmask(one))])
    error_message = "IPv4 ranges."
  }
}
