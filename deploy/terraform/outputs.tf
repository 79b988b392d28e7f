output "secrets" {
  description = "The secrets that wait for their values: aws secretsmanager put-secret-value --secret-id …"
  value       = { for name, secret in aws_secretsmanager_secret.bot : name => secret.name }
}

output "cluster" {
  description = "The cluster and the service in it have this name."
  value       = aws_ecs_cluster.this.name
}

output "log_group" {
  description = "Where the bot's log is: aws logs tail --follow …"
  value       = aws_cloudwatch_log_group.bot.name
}

output "store" {
  description = "The address of the store, reached by the bot only."
  value       = aws_db_instance.store.endpoint
}

output "load_balancer" {
  description = "Where the name of [web] public_url has to lead to (CNAME); null without a certificate."
  value       = one([for balancer in aws_lb.this : balancer.dns_name])
}
