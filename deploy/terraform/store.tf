resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = [for subnet in aws_subnet.private : subnet.id]
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${var.name}-"
  family      = "postgres${var.database_version}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }
}

# The password goes from here into its secret, and from there into the database: no state holds it. RDS'
# own management would change it each week under the feet of the running tasks.
ephemeral "random_password" "store" {
  length  = 40
  special = false
}

resource "aws_secretsmanager_secret" "store_password" {
  name_prefix = "${var.name}-store-password-"
  description = "The password of ${var.name}'s store"
}

resource "aws_secretsmanager_secret_version" "store_password" {
  secret_id                = aws_secretsmanager_secret.store_password.id
  secret_string_wo         = ephemeral.random_password.store.result
  secret_string_wo_version = var.database_password_version
}

ephemeral "aws_secretsmanager_secret_version" "store_password" {
  secret_id  = aws_secretsmanager_secret.store_password.id
  version_id = aws_secretsmanager_secret_version.store_password.version_id
}

resource "aws_db_instance" "store" {
  identifier_prefix = "${var.name}-"
  engine            = "postgres"
  engine_version    = var.database_version
  instance_class    = var.database_class
  db_name           = "treasury_bot"

  username            = "treasury_bot"
  password_wo         = ephemeral.aws_secretsmanager_secret_version.store_password.secret_string
  password_wo_version = var.database_password_version

  allocated_storage     = 20
  max_allocated_storage = 100
  storage_type          = "gp3"
  storage_encrypted     = true

  multi_az               = var.database_multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  parameter_group_name   = aws_db_parameter_group.this.name
  vpc_security_group_ids = [aws_security_group.store.id]
  publicly_accessible    = false

  backup_retention_period    = var.database_backup_days
  backup_window              = "02:00-03:00"
  maintenance_window         = "sun:03:30-sun:04:30"
  auto_minor_version_upgrade = true
  copy_tags_to_snapshot      = true

  deletion_protection       = var.database_protected
  skip_final_snapshot       = !var.database_protected
  final_snapshot_identifier = "${var.name}-final"
}
